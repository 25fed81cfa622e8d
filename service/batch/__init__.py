"""Making many pictures from the command line, on this machine or by a server.

A work list says which pictures become which files, a painter makes several at the same time, and a reporter prints the
progress. Only `service.batch.local` needs torch.
"""
