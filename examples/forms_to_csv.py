"""A stack of the same form, photographed or scanned, into a table with a row a form. The command for a long table is

downstroke read forms --box amount=40,60,300,50 --box year=40,160,200,50 --csv table.csv

python examples/forms_to_csv.py forms table.csv amount=40,60,300,50 year=40,160,200,50
"""

import csv
import itertools
import sys

import downstroke
from downstroke.glyphs.picture import sources
from downstroke.reading.field import Field

if len(sys.argv) < 4:
    sys.exit(__doc__)
folder, table, *boxes = sys.argv[1:]
fields = [Field.parse(box) for box in boxes]  # a box: x, y, width, height in pixels
readings = downstroke.Reader.shipped().read_all(sources(folder), fields=fields)

with open(table, "w", newline="", encoding="utf-8") as file:
    writer = csv.writer(file)
    writer.writerow(["form", *(field.name for field in fields), "to check"])
    for form, read in itertools.groupby(readings, key=lambda reading: reading.source):
        cells = {reading.field: reading.strict() for reading in read}  # a ? for each digit that is not to be relied on
        if None in cells:  # a file that cannot be opened: one reading, with an error, and no field of it
            print(cells[None].error, file=sys.stderr)
        found = [cells.get(field.name) for field in fields]
        doubtful = [
            field.name for field, cell in zip(fields, found, strict=True) if not cell or cell.error or cell.refused
        ]
        writer.writerow([form, *(cell.text if cell else "" for cell in found), " ".join(doubtful)])
