"""imc.store.kamailio."""
