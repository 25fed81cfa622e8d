"""Many pictures from the command line, on this machine or by a server.

The work list says which pictures go where, a painter makes them, several at once, and a reporter tells how far it is.
Only `service.batch.local` needs torch.
"""
