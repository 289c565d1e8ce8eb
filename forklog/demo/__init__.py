"""The demo: real uWSGI servers with the stock handler and with forklog, and what arrived."""
