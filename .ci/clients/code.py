"""code.py ADDRESS: prints the code of the newest mail to that address, once there is one."""

import email
import email.policy
import os
import re
import sys
import time
from pathlib import Path


def code_for(address):
    mails = sorted(Path(os.environ["HALLPASS_MAIL_DIR"]).glob("**/*.eml"), reverse=True)
    for path in mails:
        mail = email.message_from_bytes(path.read_bytes(), policy=email.policy.default)
        if address not in str(mail["To"]):
            continue
        text = mail.get_body(("plain",)).get_content()
        if found := re.search(r"^\s*(\d{6})\s*$", text, re.MULTILINE):
            return found[1]
    return None


deadline = time.monotonic() + 20
while (code := code_for(sys.argv[1])) is None:
    if time.monotonic() > deadline:
        sys.exit("no mail to " + sys.argv[1])
    time.sleep(0.1)
print(code)
