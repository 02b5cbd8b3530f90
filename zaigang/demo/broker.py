"""The demo's embedded MQTT broker (amqtt), as a process of its own that can be taken away and brought back.

For the demo only: amqtt speaks MQTT 3.1.1 and forgets queued messages when killed, which the delivery protocol
survives. Production uses Mosquitto (docs/install.md).

Run as `python -m zaigang.demo.broker PORT`.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import sys
from typing import Any


def configuration(port: int) -> dict[str, Any]:
    """Listen on this machine only, let everybody on it in, keep nothing."""
    return {
        "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
        "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
    }


async def serve(port: int) -> None:
    """Serve until the process is asked to end."""
    from amqtt.broker import Broker

    broker = Broker(configuration(port))
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    await broker.start()
    print("ready", flush=True)
    await stop.wait()
    await broker.shutdown()


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(serve(int(sys.argv[1])))
