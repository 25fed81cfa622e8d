"""The values of `Cache-Control`: what caches may keep of an answer."""

from typing import Final

NO_STORE: Final = "no-store"
"""For what is true only now: nothing is kept."""
ASK_AGAIN: Final = "no-cache"
"""For what may change: it is kept, and used after asking with its ETag."""
OF_ONE_CLIENT: Final = "private, no-cache"
"""For pictures. Caches do not keep answers to POST; a client may, and asks again with the ETag: that costs the upload
and not the work."""
FOREVER: Final = "max-age=31536000, immutable"
"""For versions of models. Not `public`: an answer to a request with a key is not for all behind the same proxy."""
