"""The map, in the order in which a message walks.

Stages, each a plain function that takes what happened and its ports:

    receive     1  a webhook comes in: verified, recorded once, and whoever must answer is woken
    reply       2  a turn: everything that waits, one engine, one committed answer
    collect        the files of messages, fetched and put into words while nobody waits
    send        3  the answer goes out, at most once
    track       4  what the provider says became of it
    handoff        people: take over, pass on, give back
    route          who must act next
    rescue         what no event will wake
    reconcile      what the provider received and we did not
    settle         whether an answer in doubt is out

Steps that several stages share:

    authenticity   who sent this
    lookup         which conversation it belongs to
    consent        whether the person wants messages
    restraint      why the AI leaves to a human what it may answer
    entries        records as history
    attachments    files: fetched once, kept, put into words
    reactions      which of them want an answer
    picture        tables as context object
    outbound       the answer on its way, and its end

The language that all of them speak:

    model          nouns and their states
    lifecycle      what may follow what; who owns a conversation
    context        what travels on the queues
    reading        a message in words
    cards          contact cards in words
    errors         what can go wrong, by who should act
    ports          what the stages need from outside

The edges, which the stages know only as ports:

    channels       one file per way a person reaches us
    engines        one file per kind of mind
    tools          what a mind may do besides answering
    aws            the only boto3
    folder         a laptop's media store
    journal        log lines and metrics

And what joins them: `config` reads the environment, `wiring` builds, `web` keeps the doors' manners.
"""
