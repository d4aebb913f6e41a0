"""From measured evidence to verdicts on the paper's claims: the ledger as written, the judging, the words.

`claims` is what the notebooks call.
"""
