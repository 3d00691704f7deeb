"""Names for runs: two words that are easy to say and to type."""

from __future__ import annotations

import random
import re

from downstroke.errors import RunError

ADJECTIVES = (
    "able amber brave brisk calm clear cosy crisp deft eager early even fair fine fleet fond free fresh gentle glad "
    "grand green hale handy happy honest jolly keen kind lithe lively loyal lucid mellow merry mild neat nimble noble "
    "plain polite prime proud quick quiet rapid ready rosy sharp silver slim smart snug sound spry steady still sunny "
    "sure swift tidy true vivid warm wise witty young zesty"
).split()
ANIMALS = (
    "ant badger bat bear beaver bee bison boar bream carp cat civet cod crane crow deer dingo dove drake eagle eel "
    "elk ermine falcon fawn ferret finch fox frog gecko goat goose gull hare hawk heron horse ibis jay kestrel kite "
    "koala lark lemur lion llama mole moose moth mouse newt orca otter owl panda perch pika plover puffin quail rabbit "
    "raven robin salmon seal shrew skink sloth snail sparrow stoat stork swan tapir tern thrush tiger toad trout "
    "turtle vole walrus weasel whale wolf wren yak zebra"
).split()

_ALLOWED = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: Windows keeps these for devices, with any suffix and in either case; a run may be copied there.
_DEVICES = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)


def fresh() -> str:
    """Two words at random, such as `calm-otter`. Not seeded: two runs of one recipe are still two runs."""
    chance = random.SystemRandom()
    return f"{chance.choice(ADJECTIVES)}-{chance.choice(ANIMALS)}"


def checked(name: str) -> str:
    """`name`, where it can be a folder's name anywhere and cannot leave the runs folder. RunError."""
    if not _ALLOWED.fullmatch(name) or name.endswith("."):
        raise RunError(
            f"run name {name!r}: expected letters, digits, '-', '_' and '.', 64 at most, a letter or digit first "
            f"and no '.' last"
        )
    if _DEVICES.fullmatch(name):
        raise RunError(f"run name {name!r}: Windows keeps it for a device; take another, such as run-{name.lower()}")
    return name
