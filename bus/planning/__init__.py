"""Planning: what edited rules would have made of messages that the log holds. A sysadmin's act without effects.

::

    borrowed     the answers of a message's journal, lent to rules that may ask in other places
    way          one message's way through one plan: branches, calls, messages sent, replies, keys, waits, end
    difference   two ways compared: what would be otherwise for the town, not for the text
    course       over many messages: rules in force against edited rules, counted and grouped
    edits        what was changed in the files, line by line
    report       the plan in words and as JSON; nobody is named in it

It is replay with other rules: the same interpreter, the same journal driver, the same guard.
"""
