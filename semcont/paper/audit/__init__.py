"""The full audit of section 4.4: robustness attacked as hard as the field knows how, and what the attacks themselves
give away.

`conduct` runs what a preset's `robustness.audit` asks for. Every measurement is of one network and one attack, and is
cached, so an audit that is broken off goes on where it was. A row holds `alive`, for each test image in order whether
it survived: from these the worst case over all attacks is made.
"""

from .whole import Audited, conduct, of_networks, of_variants, shared, survived, worst

__all__ = [
    "Audited",
    "conduct",
    "of_networks",
    "of_variants",
    "shared",
    "survived",
    "worst",
]
