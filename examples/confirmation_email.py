"""A confirmation e-mail sent in the background, over SMTP.

A shop accepts orders. The customer should get the answer at once, not after
the mail server has taken the confirmation: the handler starts a task for the
mail and returns. Both ends run in this program and on one loop: aiosmtplib as
the client, aiosmtpd as a mail server on the loopback interface.

What to look at: every order is accepted before the first mail has arrived. A
task in the background needs three things that are easy to forget: a reference
to it (the loop holds tasks weakly), somebody who reads its error, and a
shutdown that waits for it. The third customer's mailbox does not exist: the
order stands, and the failed mail is reported.

It prints:

    order 1 accepted, mails delivered so far: 0
    order 2 accepted, mails delivered so far: 0
    order 3 accepted, mails delivered so far: 0
    closing time: 3 mails still on their way
      no mail for order 3: 550 no such mailbox
    delivered:
      To: ada@example.org, Subject: Your order 1, 'Thank you: 2 pencils.'
      To: grace@example.org, Subject: Your order 2, 'Thank you: 1 notebook.'

It needs two packages: pip install aiosmtplib aiosmtpd
"""

import asyncio
import email
from email.message import EmailMessage, Message

import aiosmtplib
from aiosmtpd.smtp import SMTP, Envelope, Session

ORDERS = [
    (1, "ada@example.org", "2 pencils"),
    (2, "grace@example.org", "1 notebook"),
    (3, "nobody@example.org", "3 erasers"),
]


class Mailboxes:
    """What the mail server does with a mail: aiosmtpd calls these coroutines."""

    def __init__(self) -> None:
        self.delivered: list[Message] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if address.startswith("nobody@"):
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        # Real servers take their time here: checks, disks, other servers.
        await asyncio.sleep(0.05)
        assert isinstance(envelope.content, bytes)
        self.delivered.append(email.message_from_bytes(envelope.content))
        return "250 OK"


class Shop:
    def __init__(self, mail_port: int) -> None:
        self.mail_port = mail_port
        self.mails: set[asyncio.Task[None]] = set()

    async def accept(self, number: int, customer: str, goods: str) -> str:
        task = asyncio.create_task(self.confirm(number, customer, goods))
        # The set keeps the task alive; it takes itself out when it is done.
        self.mails.add(task)
        task.add_done_callback(self.mails.discard)
        return f"order {number} accepted"

    async def confirm(self, number: int, customer: str, goods: str) -> None:
        mail = EmailMessage()
        mail["From"] = "shop@example.org"
        mail["To"] = customer
        mail["Subject"] = f"Your order {number}"
        mail.set_content(f"Thank you: {goods}.\n")
        try:
            await aiosmtplib.send(mail, hostname="127.0.0.1", port=self.mail_port, timeout=10)
        except aiosmtplib.SMTPRecipientsRefused as refused:
            # Nobody awaits this task for its result: it reports its own errors.
            reason = refused.recipients[0]
            print(f"  no mail for order {number}: {reason.code} {reason.message}")
        except (aiosmtplib.SMTPException, OSError) as error:
            print(f"  no mail for order {number}: {error}")

    async def close(self) -> None:
        print(f"closing time: {len(self.mails)} mails still on their way")
        await asyncio.gather(*self.mails)


async def main() -> None:
    mailboxes = Mailboxes()
    loop = asyncio.get_running_loop()
    # aiosmtpd's SMTP is a protocol: the loop makes one for each connection.
    server = await loop.create_server(
        lambda: SMTP(mailboxes, hostname="mail.example.org", loop=loop), "127.0.0.1", 0
    )
    async with server:
        shop = Shop(server.sockets[0].getsockname()[1])
        for order in ORDERS:
            answer = await shop.accept(*order)
            print(f"{answer}, mails delivered so far: {len(mailboxes.delivered)}")
        await shop.close()

    print("delivered:")
    for mail in sorted(mailboxes.delivered, key=lambda mail: str(mail["Subject"])):
        body = str(mail.get_payload()).strip()
        print(f"  To: {mail['To']}, Subject: {mail['Subject']}, {body!r}")


if __name__ == "__main__":
    asyncio.run(main())
