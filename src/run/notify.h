#pragma once
/* notify: tells a service manager (systemd's sd_notify protocol) how we are; does nothing where there is none. */
void notify_manager(const char *state);
