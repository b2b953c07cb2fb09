"""What dex needs of the machine and knows no flow: child processes, private files, masking of secrets, log context.

Not here: anything with a table or a page.
"""
