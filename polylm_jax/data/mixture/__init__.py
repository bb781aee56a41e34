"""Which component each row of a run comes from, and how many tokens of what that makes.

apportionment  Shares in whole numbers
ledger         How many tokens of what
repetition     How much of each store a run reads, to repeat text as a longer run would
row_ranges     Ranges of a run's rows that are left out
schedule       Which component each row of a run comes from
steps          Which rows of a run each of its steps takes
"""
