"""Checks bills of materials against the schema of CycloneDX: python bills.py FILE..."""

import sys
from pathlib import Path

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

validator = JsonStrictValidator(SchemaVersion.V1_5)
wrong = 0
for file in sys.argv[1:]:
    error = validator.validate_str(Path(file).read_text(encoding="utf-8"))
    if error is not None:
        print(f"{file}: {error}", file=sys.stderr)
        wrong += 1
sys.exit(wrong > 0 or len(sys.argv) == 1)
