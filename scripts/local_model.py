"""Serve a GGUF file on 127.0.0.1 as an OpenAI-compatible endpoint, until SIGTERM.

Runs in the demo's own environment (scripts/setup --demo), where the model server's wheel is: nothing of this
repository is imported.
"""

import argparse
import importlib
import os
import signal


def threads() -> int:
    """Half of the processors: the others hold Label Studio and the workers, and hyperthreads do not help the model."""
    return max(2, (os.cpu_count() or 2) // 2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Serve a GGUF file as an OpenAI-compatible endpoint.")
    parser.add_argument("weights")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--context", type=int, default=8192, help="tokens, shared by the slots")
    parser.add_argument("--slots", type=int, default=4, help="requests at the same time")
    parser.add_argument("--threads", type=int, default=threads())
    return parser.parse_args()


def main() -> None:
    asked = arguments()
    # Blocked before the server starts its threads, which inherit it: the signal then reaches sigwait below.
    stops = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stops)
    # Its threads wait for each other at every layer. Spinning there halves the speed when anything else runs.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    xllamacpp = importlib.import_module("xllamacpp")
    settings = xllamacpp.CommonParams()
    settings.model.path = asked.weights
    settings.hostnames = ["127.0.0.1"]
    settings.port = asked.port
    settings.n_ctx = asked.context
    settings.n_parallel = asked.slots
    settings.cpuparams.n_threads = asked.threads
    server = xllamacpp.Server(settings)
    print(f"serving {asked.weights} at http://127.0.0.1:{asked.port}/v1", flush=True)
    signal.sigwait(stops)
    del server
    # The native server can take long to wind up what it still generates; nobody waits for it any more.
    os._exit(0)


if __name__ == "__main__":
    main()
