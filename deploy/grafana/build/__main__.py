"""Writes the dashboards: `python3 deploy/grafana/build`. With `--check` only says whether they are as they would be written."""

import json
import sys
from pathlib import Path

sys.dont_write_bytecode = True

import contact_centre  # noqa: E402 # after the line above
import service  # noqa: E402

FOLDER = Path(__file__).resolve().parent.parent / "dashboards"
FILES = {"service.json": service.DASHBOARD, "contact-centre.json": contact_centre.DASHBOARD}


def main():
    old = []
    for name, dashboard in FILES.items():
        text = json.dumps(dashboard, indent=2, ensure_ascii=False) + "\n"
        path = FOLDER / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        old.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    old += [path.name for path in FOLDER.iterdir() if path.name not in FILES]
    if "--check" in sys.argv and old:
        sys.exit(f"not as built: {', '.join(old)}; run: python3 deploy/grafana/build")


main()
