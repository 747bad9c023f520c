#!/usr/bin/env python3
"""Makes crates/scheduling/data/regional_holidays.txt from the Python package `holidays` (MIT).

The holidays of a country as a whole come from the opening-hours crate; this table adds the parts
of some countries, which that crate does not tell apart.

    pip download --no-deps holidays==0.109
    unzip -q holidays-*.whl -d holidays-wheel
    script/regional_holidays.py holidays-wheel > crates/scheduling/data/regional_holidays.txt
"""

import re
import sys

if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.path.insert(0, sys.argv[1])

import holidays  # noqa: E402

# Countries whose law fixes its holidays years ahead. Where they follow the moon or a yearly decree
# (Spain, India, ...), a table would be a guess.
COUNTRIES = ["AT", "AU", "CA", "CH", "DE", "FR", "GB", "NZ", "US"]
YEARS = range(2025, 2041)

print(
    f"""# Public holidays of parts of countries, {YEARS[0]} to {YEARS[-1]}.
# Source: the Python package holidays {holidays.__version__}, MIT licence,
# Copyright (c) Vacanza Team and individual contributors (see its AUTHORS file).
# Made by script/regional_holidays.py; not to be edited by hand.
# A line is: country, region (second half of its ISO 3166-2 code), then the days of each year as
# year:mmdd,mmdd. The region "*" holds what all regions of the country share; it counts for each."""
)


def line(country, region, days):
    years = {}
    for day in sorted(days):
        years.setdefault(day.year, []).append(f"{day:%m%d}")
    print(country, region, *(f"{year}:{','.join(found)}" for year, found in years.items()))


for country in COUNTRIES:
    regions = {
        region: set(holidays.country_holidays(country, subdiv=region, years=YEARS))
        for region in holidays.country_holidays(country).subdivisions
        # The package also knows some towns and districts, by names that no standard gives them.
        if re.fullmatch("[A-Z0-9]{1,3}", region)
    }
    regions = {region: {d for d in days if d.year in YEARS} for region, days in regions.items()}
    shared = set.intersection(*regions.values())
    line(country, "*", shared)
    for region, days in sorted(regions.items()):
        line(country, region, days - shared)
