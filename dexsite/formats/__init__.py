"""How the admin writes dates; read by Django (FORMAT_MODULE_PATH)."""
