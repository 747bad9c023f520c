"""An SMTP server for the tests, of aiosmtpd's making. Usage: smtp_server.py PORT

What it answers follows from the recipient: `later@` is told 451 the first time, `never@` 550, everybody
else 250. Each thing that happens is printed as a line of JSON.
"""

import json
import sys
import time

from aiosmtpd.controller import Controller


def tell(**what):
    print(json.dumps(what), flush=True)


class Handler:
    def __init__(self):
        self.put_off = set()

    async def handle_RCPT(self, server, session, envelope, address, options):
        person = address.split("@")[0]
        if person == "later" and address not in self.put_off:
            self.put_off.add(address)
            tell(recipient=address, answer=451)
            return "451 4.3.2 Please come back later"
        if person == "never":
            tell(recipient=address, answer=550)
            return "550 5.1.1 No such person here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        for address in envelope.rcpt_tos:
            tell(
                recipient=address,
                sender=envelope.mail_from,
                answer=250,
                message=envelope.original_content.hex(),
            )
        return "250 2.0.0 Taken"


controller = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[1]))
controller.start()
tell(ready=True)
while True:
    time.sleep(3600)
