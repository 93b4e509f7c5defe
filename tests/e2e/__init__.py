"""The whole daemon over real sockets."""
