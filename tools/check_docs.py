"""Check the documentation: every relative link leads somewhere, every Python example runs.

    .venv/bin/python tools/check_docs.py

Reads all Markdown files of the repository. Blocks marked `python` are run one by one in a process
of their own; a block marked `python no-run` is only compiled.
"""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NOT_OURS = {"build", "target", "node_modules"}
LINK = re.compile(r"(?<!!)\[[^\]]*\]\(([^)\s]+)\)")
BLOCK = re.compile(r"^```python(?P<info>[^\n]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
LIMIT = 60  # seconds for one example


def pages() -> Iterator[Path]:
    """All Markdown files that belong to the project."""
    for path in sorted(ROOT.rglob("*.md")):
        parts = path.relative_to(ROOT).parts
        if not any(part in NOT_OURS or part.startswith(".") for part in parts):
            yield path


def headings(page: Path) -> set[str]:
    """The anchors that the headings of a page make."""
    found = set()
    for line in re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE):
        text = re.sub(r"[^\w\- ]", "", line.lower())
        found.add(text.replace(" ", "-"))
    return found


def check_links(page: Path) -> Iterator[str]:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists():
            yield f"{link} leads nowhere"
        elif anchor and target.suffix == ".md" and anchor not in headings(target):
            yield f"{link}: no such heading"


def check_examples(page: Path) -> Iterator[str]:
    text = page.read_text()
    for block in BLOCK.finditer(text):
        line = text.count("\n", 0, block.start()) + 2
        code = "\n" * (line - 1) + block["code"]
        try:
            compile(code, str(page), "exec")
        except SyntaxError as error:
            yield f"line {error.lineno}: {error.msg}"
            continue
        if "no-run" in block["info"]:
            continue
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", code],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=False,
        )
        if done.returncode:
            yield f"the example at line {line} fails:\n{done.stderr}"


def main() -> int:
    """Check all pages, print what is wrong, return the exit code."""
    wrong = links = examples = 0
    for page in pages():
        text = page.read_text()
        links += len(LINK.findall(text))
        examples += len(BLOCK.findall(text))
        for problem in [*check_links(page), *check_examples(page)]:
            wrong += 1
            print(f"{page.relative_to(ROOT)}: {problem}")
    print(f"{links} links, {examples} Python examples, {wrong} wrong")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
