"""What a name may be, and how it is shown.

Names come here as canonical addresses-of-record, whose user part is ASCII with escapes (RFC 3261 §25.1). Nothing here
decodes an escape into something that is sent: names travel, and are shown, escaped.
"""

from __future__ import annotations

import unicodedata
from urllib.parse import unquote_to_bytes

from imc.aor import Aor

# imc_members.room, username and domain, imc_rooms.name and domain are varchar(64): spec R-ADDR-4
COLUMN = 64

# RFC 8264 §9.1 LetterDigits
_LETTER_DIGITS = frozenset(("Ll", "Lu", "Lo", "Nd", "Lm", "Mn", "Mc"))
# RFC 8264 §9.13 PrecisIgnorableProperties: those of Default_Ignorable_Code_Point that are letters or marks
_INVISIBLE = frozenset(
    chr(code)
    for low, high in (
        (0x034F, 0x034F), (0x115F, 0x1160), (0x17B4, 0x17B5), (0x180B, 0x180F), (0x3164, 0x3164), (0xFE00, 0xFE0F),
        (0xFFA0, 0xFFA0), (0xE0100, 0xE01EF),
    )
    for code in range(low, high + 1)
)  # fmt: skip
# RFC 8264 §9.9 OldHangulJamo
_OLD_HANGUL = ((0x1100, 0x11FF), (0xA960, 0xA97C), (0xD7B0, 0xD7FB))
# Characters that a reader takes for one another, within what a user part can hold
_LOOKALIKE = str.maketrans({"0": "o", "1": "l", "i": "l"})


def is_too_long_for_user(user: Aor) -> bool:
    """Whether the columns cannot hold the user (spec R-ADDR-4)."""
    return len(user.user) > COLUMN or len(user.host) > COLUMN


def is_too_long_for_room(room: Aor) -> bool:
    """Whether the columns cannot hold the room, whose whole URI is one of them (spec R-ADDR-4)."""
    return len(str(room)) > COLUMN


def is_visible(user: str) -> bool:
    """Whether a user part's escapes stand for characters of RFC 8264's IdentifierClass, in NFC (spec R-ADDR-9)."""
    if "%" not in user:
        return True
    try:
        decoded = unquote_to_bytes(user).decode()
    except UnicodeDecodeError:
        return False
    return unicodedata.normalize("NFC", decoded) == decoded and all(map(_is_identifier_char, decoded))


def _is_identifier_char(char: str) -> bool:
    """RFC 8264 §8, for the properties that unicodedata knows. Contextual characters (§9.3, §9.6) are not taken."""
    if char < "\x80":
        return "!" <= char <= "~"  # §9.11 ASCII7
    return (
        unicodedata.category(char) in _LETTER_DIGITS
        and char not in _INVISIBLE
        and not any(low <= ord(char) <= high for low, high in _OLD_HANGUL)
        and unicodedata.normalize("NFKC", char) == char  # §9.17 HasCompat
    )


def lookalike_key(user: str) -> str:
    """Equal for user parts that a reader may take for one another (spec R-MSG-6)."""
    return user.lower().translate(_LOOKALIKE).replace("rn", "m")
