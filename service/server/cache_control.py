"""The values of `Cache-Control`: what caches may keep of an answer."""

from typing import Final

NO_STORE: Final = "no-store"
"""Value for answers that are true only now: caches keep nothing."""
ASK_AGAIN: Final = "no-cache"
"""Value for answers that may change: caches keep them, and ask with the ETag before each use."""
OF_ONE_CLIENT: Final = "private, no-cache"
"""Value for pictures. Caches do not keep answers to POST; a client may, and asks with the ETag before each use, which
costs the upload but not the work."""
FOREVER: Final = "max-age=31536000, immutable"
"""Value for versions of models, which never change. It is not `public`, because a shared proxy must not give the answer
to a request with an API key to clients without one."""
