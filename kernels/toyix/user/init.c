/*
 * init: pid 1. Reads command lines from the console and runs them one after the other.
 *
 *   prog args...        run a program and wait for it
 *   prog args... &      run it and do not wait
 *   a | b, a; b, > file and quotes are work for sh, which gets the whole line
 *   exit                power the machine off
 */
#include "libc.h"

#define MAX_WORDS 16

/* Makes words of a line in place. Returns how many. */
static int split(char *line, char *words[])
{
	int count = 0;

	while (count < MAX_WORDS) {
		while (*line == ' ' || *line == '\t')
			*line++ = '\0';
		if (!*line)
			break;
		words[count++] = line;
		while (*line && *line != ' ' && *line != '\t')
			line++;
	}
	words[count] = NULL;
	return count;
}

/* Cuts a final `&` off. Returns whether there was one. */
static int takes_background(char *line)
{
	size_t length = strlen(line);

	while (length && (line[length - 1] == ' ' || line[length - 1] == '\t'))
		line[--length] = '\0';
	if (!length || line[length - 1] != '&')
		return 0;
	line[length - 1] = '\0';
	return 1;
}

static int needs_sh(const char *line)
{
	for (; *line; line++)
		if (strchr("|;<>&'\"#", *line))
			return 1;
	return 0;
}

static void run(char *line)
{
	int background = takes_background(line);
	char *words[MAX_WORDS + 1];
	pid_t child, done;

	if (needs_sh(line)) {
		words[0] = "sh", words[1] = "-c", words[2] = line, words[3] = NULL;
	} else {
		if (!split(line, words))
			return;
		if (!strcmp(words[0], "exit")) {
			sync();
			reboot(RB_POWER_OFF);
		}
	}
	child = fork();
	if (child < 0) {
		complain("init", "fork");
		return;
	}
	if (!child) {
		if (background)
			ignore(SIGINT, 1);
		execvp(words[0], words);
		complain("init", words[0]);
		_exit(127);
	}
	/* Whoever ends meanwhile is reaped too: orphans become children of pid 1. */
	if (!background)
		do
			done = wait4(-1, NULL, 0, NULL);
		while (done != child && (done > 0 || errno == EINTR));
	while (wait4(-1, NULL, WNOHANG, NULL) > 0)
		;
}

int main(void)
{
	static char buffer[512];
	size_t used = 0;
	ssize_t count;
	int console = open("/dev/console", O_RDWR);

	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	if (console > 2)
		close(console);
	dprintf(1, "toyix: init is running, a command a line\n");

	/* One read may bring several lines, or a part of one. */
	while ((count = read(0, buffer + used, sizeof(buffer) - 1 - used)) > 0) {
		char *line = buffer, *end;

		used += count;
		buffer[used] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			run(line);
			line = end + 1;
		}
		used -= line - buffer;
		memcpy(buffer, line, used);
		if (used == sizeof(buffer) - 1) {
			dprintf(2, "init: line too long\n");
			used = 0;
		}
	}
	reboot(RB_POWER_OFF);
	return 1;
}
