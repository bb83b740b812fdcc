/*
 * sh: runs command lines given with -c, in a file, or on standard input.
 *
 *   list:      pipeline { ; pipeline }          also && and ||; a pipeline that ends in & is not waited for
 *   pipeline:  command { | command }
 *   command:   words, and < file, > file, >> file anywhere among them
 *   words:     'quoted', "quoted", or plain; # begins a comment, a backslash makes the next character plain
 *
 * Known to sh itself: cd, exit, wait.
 */
#include "libc.h"

#define MAX_WORDS 64
#define MAX_STAGES 8

struct command {
	char *words[MAX_WORDS + 1];
	int count;
	char *from, *to;
	int append;
};

struct pipeline {
	struct command stages[MAX_STAGES];
	int count;
	int background;
	char after;			/* ';', or '&' for &&, or '|' for ||: what follows it */
};

static char line_words[4096];	/* the text of all words of the line that is being read */
static size_t words_used;
static int last_status;

static int is_end_of_word(char c)
{
	return !c || strchr(" \t\n;|&<>#", c) != NULL;
}

/* A backslash that only says that the next character is plain. */
static int is_escape(const char *at, char quote)
{
	return *at == '\\' && at[1] && (!quote || (quote == '"' && strchr("$`\"\\", at[1])));
}

/* Copies the next word, without its quotes, into line_words. NULL where there is none. */
static char *take_word(const char **at)
{
	char *word = line_words + words_used;

	while (**at == ' ' || **at == '\t')
		++*at;
	if (is_end_of_word(**at))
		return NULL;
	while (!is_end_of_word(**at)) {
		char quote = **at == '\'' || **at == '"' ? *(*at)++ : 0;

		for (; **at && (quote ? **at != quote : !is_end_of_word(**at) && **at != '\'' && **at != '"'); ++*at) {
			if (is_escape(*at, quote))
				++*at;
			if (words_used < sizeof(line_words) - 1)
				line_words[words_used++] = **at;
		}
		if (quote && **at)
			++*at;
	}
	line_words[words_used++] = '\0';
	return word;
}

static int syntax_error(const char *near)
{
	dprintf(2, "sh: syntax error near '%s'\n", *near ? near : "end of line");
	last_status = 2;
	return -1;
}

/* Reads one pipeline with the `;`, `&`, `&&` or `||` behind it. Returns -1 after saying what is wrong. */
static int parse_pipeline(const char **at, struct pipeline *line)
{
	struct command *command = line->stages;

	memset(line, 0, sizeof(*line));
	line->count = 1;
	for (;;) {
		char *word = take_word(at);

		if (word) {
			if (command->count == MAX_WORDS)
				return syntax_error(word);
			command->words[command->count++] = word;
		} else if (**at == '<') {
			++*at;
			if (!(command->from = take_word(at)))
				return syntax_error(*at);
		} else if (**at == '>') {
			command->append = *++*at == '>';
			*at += command->append;
			if (!(command->to = take_word(at)))
				return syntax_error(*at);
		} else if (**at == '|' && (*at)[1] != '|') {
			if (!command->count || line->count == MAX_STAGES)
				return syntax_error(*at);
			++*at;
			command = line->stages + line->count++;
		} else {
			break;
		}
	}
	if (!command->count && line->count > 1)
		return syntax_error(*at);
	line->after = **at;
	if (**at && (*at)[1] == **at && (**at == '&' || **at == '|'))
		*at += 2;
	else if (**at == '&')
		line->background = 1, line->after = ';', ++*at;
	else if (**at == ';')
		++*at;
	return 0;
}

static int move_fd(int from, int to)
{
	if (from < 0)
		return -1;
	dup2(from, to);
	close(from);
	return 0;
}

/* In the child: files in place of 0 and 1, then the program. Does not return. */
static void run_stage(struct command *command)
{
	int mode = O_WRONLY | O_CREAT | (command->append ? O_APPEND : O_TRUNC);

	if (command->from && move_fd(open(command->from, O_RDONLY), 0) < 0)
		_exit(complain("sh", command->from));
	if (command->to && move_fd(open(command->to, mode, 0644), 1) < 0)
		_exit(complain("sh", command->to));
	execvp(command->words[0], command->words);
	complain("sh", command->words[0]);
	_exit(127);
}

static void wait_for(pid_t last)
{
	int status;
	pid_t done;

	while ((done = wait4(-1, &status, 0, NULL)) > 0)
		if (done == last) {
			last_status = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
			return;
		}
}

/* Forks every stage; each reads what the one before it writes. */
static void run_pipeline(struct pipeline *line)
{
	int input = -1;
	pid_t child = -1;

	for (int n = 0; n < line->count; n++) {
		int fds[2] = { -1, -1 }, last = n == line->count - 1;

		if (!last && pipe(fds) < 0) {
			complain("sh", "pipe");
			break;
		}
		child = fork();
		if (!child) {
			move_fd(input, 0);
			move_fd(fds[1], 1);
			if (fds[0] >= 0)
				close(fds[0]);
			run_stage(&line->stages[n]);
		}
		if (input >= 0)
			close(input);
		if (fds[1] >= 0)
			close(fds[1]);
		input = fds[0];
	}
	if (!line->background)
		wait_for(child);
}

static void run_line(const char *at)
{
	struct pipeline line;
	char before = ';';

	words_used = 0;
	for (; *at && *at != '\n' && *at != '#'; before = line.after) {
		if (parse_pipeline(&at, &line) < 0)
			return;
		char **words = line.stages[0].words;

		if (!words[0] || (before == '&' && last_status) || (before == '|' && !last_status))
			continue;
		if (!strcmp(words[0], "cd"))
			last_status = chdir(words[1] ? words[1] : "/") < 0 ? complain("cd", words[1]) : 0;
		else if (!strcmp(words[0], "exit"))
			exit(words[1] ? strtonum(words[1], &(const char *){ 0 }) : last_status);
		else if (!strcmp(words[0], "wait"))
			wait_for(-1);
		else
			run_pipeline(&line);
	}
}

/* Runs the lines of a file, or of standard input. */
static void run_file(int fd)
{
	static char buffer[4096];
	size_t used = 0;
	ssize_t count;

	while ((count = read(fd, buffer + used, sizeof(buffer) - 1 - used)) > 0) {
		char *line = buffer, *end;

		used += count;
		buffer[used] = '\0';
		while ((end = strchr(line, '\n'))) {
			*end = '\0';
			run_line(line);
			line = end + 1;
		}
		used -= line - buffer;
		memcpy(buffer, line, used);
	}
	buffer[used] = '\0';
	run_line(buffer);
}

int main(int argc, char *argv[])
{
	int fd = 0;

	if (argc == 3 && !strcmp(argv[1], "-c")) {
		run_line(argv[2]);
		return last_status;
	}
	if (argc > 1 && (fd = open(argv[1], O_RDONLY)) < 0)
		return complain("sh", argv[1]);
	run_file(fd);
	return last_status;
}
