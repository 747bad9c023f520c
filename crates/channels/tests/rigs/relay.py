"""A mail relay for the tests: aiosmtpd with a handler that behaves as the recipient's name says.

Run as `relay.py '{"mode": …}'`; prints one JSON object per line: first {"port": …}, then each thing
that happened. Messages are read back with Python's own e-mail parser, so that what the tests compare was
understood by somebody else's code.
"""

import asyncio
import email
import email.policy
import json
import ssl
import sys

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

settings = json.loads(sys.argv[1])
seen = {}


def tell(**what):
    print(json.dumps(what), flush=True)


def protected(server):
    return server.transport.get_extra_info("ssl_object") is not None


def body(message, kind):
    part = message.get_body(preferencelist=(kind,))
    return part.get_content() if part else None


class Handler:
    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        tell(event="ehlo", name=hostname, tls=protected(server))
        return responses

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        tell(event="rcpt", name=name, login=bool(session.authenticated))
        answers = {
            "later": "451 4.3.0 Try again later",
            "nobody": f"550 5.1.1 <{address}>: Recipient address rejected: User unknown",
            "elsewhere": "554 5.7.1 Relay access denied",
            "closing": "421 4.3.2 Shutting down",
        }
        if name in answers:
            return answers[name]
        if name == "grey":
            seen[address] = seen.get(address, 0) + 1
            if seen[address] <= 2:
                return "450 4.2.0 Greylisted"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        name = envelope.rcpt_tos[0].split("@")[0]
        raw = envelope.content
        message = email.message_from_bytes(raw, policy=email.policy.SMTP)
        tell(
            event="message",
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            headers={key.lower(): str(value) for key, value in message.items()},
            defects=[str(d) for part in message.walk() for d in part.defects],
            type=message.get_content_type(),
            plain=body(message, "plain"),
            html=body(message, "html"),
            ascii=raw.isascii(),
            tls=protected(server),
        )
        if name == "drop":
            server.transport.abort()
            return "250 never sent"
        if name == "slow":
            await asyncio.sleep(settings.get("slow", 30))
        if name == "spam":
            return "554 5.7.1 Looks like spam"
        if name == "full":
            return "452 4.3.1 Disk full"
        return "250 2.0.0 Ok: queued as 4F2A1C"


def authenticator(server, session, envelope, mechanism, data):
    good = isinstance(data, LoginPassword) and (data.login, data.password) == (b"anna", b"s3cret")
    tell(event="login", good=good, tls=protected(server))
    # Not handled: the library says 535 itself.
    return AuthResult(success=good, handled=good)


def smtp():
    arguments = {"hostname": "relay.test", "enable_SMTPUTF8": settings.get("utf8", True)}
    if settings.get("auth"):
        arguments |= {
            "authenticator": authenticator,
            "auth_required": True,
            "auth_require_tls": False,
            "auth_exclude_mechanism": [],
        }
    if settings["mode"] == "starttls":
        arguments |= {"tls_context": context(), "require_starttls": True}
    return SMTP(Handler(), **arguments)


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(settings["cert"], settings["key"])
    return made


async def raw(reader, writer):
    """Relays that no library would write."""
    mode = settings["mode"]
    tell(event="connected")
    if mode == "silent":
        await asyncio.sleep(60)
        return
    if mode == "refuse":
        writer.write(b"554 5.3.2 No service here\r\n")
        await writer.drain()
        await reader.read()
        return
    writer.write(b"220 relay.test ESMTP\r\n")
    while line := await reader.readline():
        verb = line.split()[0].upper()
        if verb == b"EHLO":
            offer = b"250-STARTTLS\r\n" if mode == "inject" else b""
            writer.write(b"250-relay.test\r\n" + offer + b"250 8BITMIME\r\n")
        elif verb == b"STARTTLS" and mode == "inject":
            # Appended by somebody on the way, in the same packet as the relay's own answer.
            writer.write(b"220 Go ahead\r\n250-evil\r\n250 AUTH PLAIN\r\n")
            await writer.drain()
            try:
                await writer.start_tls(context(), ssl_handshake_timeout=5)
            except (ssl.SSLError, ConnectionError, OSError):
                tell(event="handshake failed")
                return
            tell(event="handshake done")
        elif verb == b"DATA" and mode == "cut":
            writer.write(b"354 Go ahead\r\n")
            await writer.drain()
            await reader.read(10)
            tell(event="cut")
            writer.transport.abort()
            return
        elif verb == b"QUIT":
            writer.write(b"221 Bye\r\n")
            await writer.drain()
            writer.close()
            return
        else:
            writer.write(b"250 OK\r\n")
        await writer.drain()


async def main():
    loop = asyncio.get_running_loop()
    if settings["mode"] in ("plain", "starttls"):
        server = await loop.create_server(smtp, "127.0.0.1", 0)
    elif settings["mode"] == "tls":
        server = await loop.create_server(smtp, "127.0.0.1", 0, ssl=context())
    else:
        server = await asyncio.start_server(raw, "127.0.0.1", 0)
    tell(port=server.sockets[0].getsockname()[1])
    # Ends with the test, even when that is killed: its end of the pipe closes.
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)


asyncio.run(main())
