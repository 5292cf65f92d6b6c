"""The application as processes that are killed with SIGKILL while people write, judged by what came out of it.

plan          who writes what and when, what goes wrong, who is killed: all drawn from a seed
installation  the processes, and what can be seen of them from outside
evidence      what the provider, the tables and the queues hold when everything has come to rest
invariants    what must hold of that
story         what happened to one person
run           a plan, played and judged
teeth         protections, each removed in a copy of the code, that a run must miss
"""
