"""imc: chat rooms over SIP.

The layers, highest first; each imports only from those below it (`tests/test_layers.py` holds them to that)::

    cli                             the commands `imc …`
    embed | program                 a daemon inside of somebody else's trio program; in a process of its own
    app                             composition root: builds the parts, owns the root nursery
    loop, options, log, systemd     what the root needs: the turning of the parts, what each is told, logs, readiness
    manage                          JSON-RPC, MI FIFO, statistics
    config                          the settings; what lies below takes small frozen options of its own instead
    service                         one use case each: load, decide, commit, release; identity; accounts
    delivery | store | transport    fan-out; the database; sockets and DNS
    registrar                       REGISTER and bindings
    sip | rooms                     sans-IO SIP; the pure rules of rooms: neither knows the other, nor trio, nor SQL
    aor, errors, measures           addresses-of-record; every exception; what is counted while it works
"""

__version__ = "0.1.0"
__all__ = ["__version__"]
