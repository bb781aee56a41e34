"""Which component each row of a run comes from, and how many tokens of what that makes.

apportionment  Shares in whole numbers
ledger         How many tokens of what
schedule       Which component each row of a run comes from
"""
