#!/usr/bin/env python3
"""Makes crates/callbacks/data/number_zones.txt from Google's libphonenumber.

The table says which time zones the telephone numbers of a prefix may be in. It is read from the
Python port, which carries the same data:

    pip download --no-deps phonenumbers==9.0.43
    unzip -q phonenumbers-*.whl -d phonenumbers-wheel
    script/number_zones.py phonenumbers-wheel > crates/callbacks/data/number_zones.txt
"""

import sys

if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.path.insert(0, sys.argv[1])

import phonenumbers  # noqa: E402
from phonenumbers.tzdata import TIMEZONE_DATA  # noqa: E402

UNKNOWN = "Etc/Unknown"

# Names that the tz database keeps only for old programs, and that some systems no longer install.
RENAMED = {
    "Africa/Asmera": "Africa/Asmara",
    "America/Buenos_Aires": "America/Argentina/Buenos_Aires",
    "America/Godthab": "America/Nuuk",
    "Asia/Calcutta": "Asia/Kolkata",
    "Asia/Choibalsan": "Asia/Ulaanbaatar",
    "Asia/Katmandu": "Asia/Kathmandu",
    "Asia/Rangoon": "Asia/Yangon",
    "Atlantic/Faeroe": "Atlantic/Faroe",
    "Pacific/Enderbury": "Pacific/Kanton",
    "Pacific/Ponape": "Pacific/Pohnpei",
    "Pacific/Truk": "Pacific/Chuuk",
}


def zones_of(prefix):
    """The zones of a prefix under their names of today, each once, in Google's order."""
    known = [RENAMED.get(z, z) for z in TIMEZONE_DATA[prefix] if z != UNKNOWN]
    return tuple(dict.fromkeys(known))


sets = sorted({zones_of(prefix) for prefix in TIMEZONE_DATA})
number = {zones: index for index, zones in enumerate(sets)}

print(
    f"""# Time zones of telephone number prefixes.
# Source: libphonenumber by Google (resources/timezones), by way of phonenumbers {phonenumbers.__version__}.
# Copyright (C) 2012-2026 The Libphonenumber Authors. Licensed under the Apache License, Version 2.0.
# Made by script/number_zones.py; not to be edited by hand.
# First the sets of zones, numbered from 0 in their order, then each prefix with the number of its set."""
)
for zones in sets:
    print("= " + " ".join(zones))
# Sorted as text, so that the reader can search by halves.
for prefix in sorted(TIMEZONE_DATA):
    print(prefix, number[zones_of(prefix)])
