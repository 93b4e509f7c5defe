"""The operators' page: sessions, log-in, and calls with an operator's role. Served beside /RPC by `imc.manage.http`."""
