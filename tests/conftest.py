from __future__ import annotations

import os

from hypothesis import settings

# Machines are shared: how long an example takes says nothing. What lands is judged by the same examples each
# time; new ones are drawn where it is worked on.
settings.register_profile("mlpress", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("mlpress")
