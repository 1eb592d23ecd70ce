"""Records of a benchmark: kept as CSV, and compared with those of another run."""

import csv


def keep(path, records):
    """Write the records, dicts with the same keys, to a CSV file."""
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, records[0])
        writer.writeheader()
        writer.writerows(records)


def compare_with(path, records, names, factor, by):
    """Print what is slower by ``factor`` and ``by`` milliseconds, both, than in a file kept; 1 if
    anything is, else 0. The same record has the same values of ``names``.
    """

    def key(record):
        return tuple(record[name] for name in names)

    with open(path) as file:
        base = {key(record): float(record["ms"]) for record in csv.DictReader(file)}
    slower = [
        f"{key(record)}: {base[key(record)]:.1f} ms before, {record['ms']:.1f} ms now"
        for record in records
        if key(record) in base
        and record["ms"] > max(factor * base[key(record)], base[key(record)] + by)
    ]
    told = ["slower than in " + path, *slower] if slower else ["nothing is slower than in " + path]
    print("\n".join(told))
    return 1 if slower else 0
