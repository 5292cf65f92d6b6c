"""The real stages, many at a time, in a world that goes wrong: what must hold, and how it is made to fail.

clockwork    virtual time, and processes that take turns in it
scenario     who writes what and when, and who interferes: drawn by the seed
faults       what may go wrong at a call, and which of it does
boundary     every call through a port: it takes time, and it may go wrong
world        everything around the real stages, and what starts them
  cast         two companies, some people, and their records
  machines     the stages joined with ports: clocks that disagree, caches of their own
  cheap        ports without cryptography and parsing
  stores       the twins, or the adapters that ship in front of a DynamoDB
  queues       queues that lose, repeat and dally
  provider     what people write and what we send: late, lost, repeated, listed
  mind         the engine
  acts         what people and other systems do
truth        what really happened, as nobody inside can see it
witnesses    records and history, looked at before and after each step
invariants   what must hold, each with a name and a sentence
simulation   one run
story        a failing run for a reader, as short as possible
runs         many seeds
teeth        the protections, each removed in turn
exhaustive   every single fault and every pair of faults, of six conversations
"""
