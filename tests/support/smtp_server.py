"""A real SMTP server for tests (aiosmtpd), with the faults that real ones have.

Prints the port it listens on, writes each accepted mail as JSON into FOLDER/messages, appends what
clients sent to FOLDER/clear.log (before TLS) and FOLDER/all.log. Ends when its standard input ends,
so it never outlives the test.
"""

import argparse
import asyncio
import email
import email.policy
import json
import logging
import os
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

FAULTS = (
    "silent",  # accepts the connection and never says a word
    "silent-recipient",  # never answers RCPT
    "silent-content",  # never answers the end of the message
    "slow-content",  # answers the end of the message after three seconds
    "busy-once",  # answers 450 to the first RCPT, 250 to the next
    "reject-recipient",
    "reject-sender",
    "reject-content",
    "reject-client",  # answers 554 instead of a greeting
    "reject-login",  # answers 535 to every AUTH
    "relay-denied",  # asks for a log-in at RCPT
    "hide-starttls",  # does not offer STARTTLS, but AUTH
)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--tls", choices=("none", "starttls", "implicit"), default="none")
    parser.add_argument("--cert")
    parser.add_argument("--key")
    parser.add_argument("--user")
    parser.add_argument("--password")
    parser.add_argument("--fault", choices=FAULTS)
    return parser.parse_args()


ARGUMENTS = parse_arguments()
MESSAGES = os.path.join(ARGUMENTS.folder, "messages")


def append(name, data):
    with open(os.path.join(ARGUMENTS.folder, name), "ab") as log:
        log.write(data)


class RecordingServer(SMTP):
    def data_received(self, data):
        append("all.log", data)
        if ARGUMENTS.tls != "implicit" and self._tls_protocol is None:
            append("clear.log", data)
        super().data_received(data)


def body(message, kind):
    part = message.get_body(preferencelist=(kind,))
    return part.get_content() if part else ""


class Handler:
    def __init__(self):
        self.recipients_seen = 0
        self.accepted = 0

    async def handle_MAIL(self, server, session, envelope, address, options):
        if ARGUMENTS.fault == "reject-sender":
            return f"550 5.7.1 <{address}> is not yours"
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(self, server, session, envelope, address, options):
        self.recipients_seen += 1
        if ARGUMENTS.fault == "silent-recipient":
            await asyncio.sleep(3600)
        if ARGUMENTS.fault == "busy-once" and self.recipients_seen == 1:
            return f"450 4.2.1 <{address}> is busy, come again"
        if ARGUMENTS.fault == "reject-recipient":
            return f"550 5.1.1 <{address}>: no such user"
        if ARGUMENTS.fault == "relay-denied":
            return "530 5.7.0 log in first"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        if ARGUMENTS.fault == "silent-content":
            await asyncio.sleep(3600)
        if ARGUMENTS.fault == "slow-content":
            await asyncio.sleep(3)
        if ARGUMENTS.fault == "reject-content":
            return f"554 5.6.0 not for {envelope.rcpt_tos[0]}"
        self.store(envelope)
        return "250 OK"

    def store(self, envelope):
        message = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        received = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": {name.lower(): str(value) for name, value in message.items()},
            "text": body(message, "plain"),
            "html": body(message, "html"),
            "source": envelope.content.decode("utf-8", "replace"),
        }
        self.accepted += 1
        name = os.path.join(MESSAGES, f"{self.accepted:04}.json")
        with open(name + ".tmp", "w", encoding="utf-8") as file:
            json.dump(received, file)
        os.rename(name + ".tmp", name)


def authenticate(server, session, envelope, mechanism, data):
    if ARGUMENTS.fault == "reject-login" or not isinstance(data, LoginPassword):
        return AuthResult(success=False, handled=False)
    right = (ARGUMENTS.user.encode(), ARGUMENTS.password.encode())
    return AuthResult(success=(data.login, data.password) == right, handled=False)


def smtp_factory(handler, context):
    starttls = ARGUMENTS.tls == "starttls" and ARGUMENTS.fault != "hide-starttls"

    def make():
        return RecordingServer(
            handler,
            hostname="localhost",
            tls_context=context if starttls else None,
            require_starttls=starttls,
            authenticator=authenticate,
            auth_required=ARGUMENTS.user is not None,
            # Under implicit TLS aiosmtpd does not know that the connection is safe.
            auth_require_tls=starttls,
        )

    return make


async def say_nothing(reader, writer):
    await asyncio.sleep(3600)


async def turn_away(reader, writer):
    writer.write(b"554 5.3.2 no service here\r\n")
    await writer.drain()
    append("all.log", await reader.read())
    writer.close()


async def main():
    os.makedirs(MESSAGES, exist_ok=True)
    context = None
    if ARGUMENTS.cert:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(ARGUMENTS.cert, ARGUMENTS.key)
    wrap = context if ARGUMENTS.tls == "implicit" else None
    loop = asyncio.get_running_loop()
    if ARGUMENTS.fault == "silent":
        server = await asyncio.start_server(say_nothing, "127.0.0.1", ARGUMENTS.port)
    elif ARGUMENTS.fault == "reject-client":
        server = await asyncio.start_server(turn_away, "127.0.0.1", ARGUMENTS.port, ssl=wrap)
    else:
        factory = smtp_factory(Handler(), context)
        server = await loop.create_server(factory, "127.0.0.1", ARGUMENTS.port, ssl=wrap)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    os._exit(0)


logging.disable(logging.CRITICAL)
asyncio.run(main())
