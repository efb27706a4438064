"""Checks the commands and links of the documentation.

    readme.py run SECTION...   run the `sh` blocks of these sections, word for word, in this folder
    readme.py commands SECTION print the `sh` blocks of a section
    readme.py links            check that every relative link in the project's *.md has a target

For `run`, the first block of the first section starts the service in one shell. All further blocks
run in a second shell. A `json` or `text` block after a block of commands is their expected output,
where `…` matches anything. A command that fails ends the check.
"""

import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path

HEALTH = "http://127.0.0.1:8000/healthz"
START_LIMIT = 1200  # seconds; the first command compiles
COMMAND_LIMIT = 300


def blocks(section):
    """The fenced blocks under one heading of README.md, as (language, text)."""
    text = Path("README.md").read_text(encoding="utf-8")
    parts = re.split(r"^##+ +(.+)$", text, flags=re.MULTILINE)
    for heading, body in zip(parts[1::2], parts[2::2]):
        if heading.strip() == section:
            found = re.findall(r"^```(\w+)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
            if found:
                return found
    sys.exit(f"README.md has no section “{section}” with commands")


class Shell:
    """A shell that runs blocks of commands in sequence and keeps variables and functions."""

    def __init__(self):
        self.process = subprocess.Popen(
            ["sh", "-s"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            encoding="utf-8",
        )
        self.count = 0
        self.folder = tempfile.TemporaryDirectory()

    def run(self, commands):
        self.count += 1
        end = f"--- end of block {self.count}: "
        typed = Path(self.folder.name, "block")
        typed.write_text(commands, encoding="utf-8")
        # From a file, so that no command reads the next ones as its input. `set -e` ends the shell
        # at the first failure; the line with the end is then missing.
        self.process.stdin.write(f"set -e; . '{typed}' </dev/null; echo; echo '{end}'\n")
        self.process.stdin.flush()
        signal.alarm(COMMAND_LIMIT)
        lines = []
        for line in self.process.stdout:
            if line.rstrip("\n") == end:
                signal.alarm(0)
                return "".join(lines)
            lines.append(line)
        sys.exit("".join(lines) + f"\nthis block of commands failed:\n{commands}")


def wait_for_the_service(service):
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline:
        if service.poll() is not None:
            sys.exit(f"the service ended at once (exit {service.returncode})")
        try:
            with urllib.request.urlopen(HEALTH, timeout=2):
                return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.5)
    sys.exit(f"nothing answers at {HEALTH}")


def compare(shown, printed):
    def squeeze(text):
        return re.sub(r"\s+", "", text)

    pattern = ".*?".join(re.escape(squeeze(part)) for part in shown.split("…"))
    if not re.fullmatch(pattern, squeeze(printed)):
        sys.exit(f"README.md shows:\n{shown}\nbut the commands printed:\n{printed}")


def run(sections):
    told = [block for section in sections for block in blocks(section)]
    first = told.pop(0)[1]
    try:
        urllib.request.urlopen(HEALTH, timeout=2)
        sys.exit(f"something answers at {HEALTH} already; stop it first")
    except (urllib.error.URLError, ConnectionError):
        pass
    print(first, end="", flush=True)
    service = subprocess.Popen(["sh", "-c", first], start_new_session=True)
    try:
        wait_for_the_service(service)
        shell = Shell()
        printed = None
        for language, text in told:
            if language == "sh":
                print(text, end="", flush=True)
                printed = shell.run(text)
                print(printed, end="", flush=True)
            elif language in ("json", "text") and printed is not None:
                compare(text, printed)
                printed = None
    finally:
        os.killpg(service.pid, signal.SIGTERM)
        service.wait(timeout=60)
    print("the commands of README.md work")


def links():
    listed = subprocess.run(["git", "ls-files", "-z", "*.md"], capture_output=True, check=True)
    broken = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        page = Path(name)
        text = re.sub(r"^```.*?^```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", text):
            if not re.match(r"[a-z]+:", target) and not (page.parent / target).exists():
                broken.append(f"{name}: {target}")
    if broken:
        sys.exit("broken links:\n" + "\n".join(broken))
    print("no broken links")


def main():
    match sys.argv[1:]:
        case ["run", *sections] if sections:
            run(sections)
        case ["commands", section]:
            print("\n".join(text for language, text in blocks(section) if language == "sh"), end="")
        case ["links"]:
            links()
        case _:
            sys.exit(__doc__)


def out_of_time(*_):
    sys.exit("a block of commands took too long")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, out_of_time)
    main()
