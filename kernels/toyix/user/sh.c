/*
 * sh: runs command lines given with -c, in a file, or on standard input.
 *
 *   list:      pipeline { ; pipeline }          also && and ||; a pipeline that ends in & is not waited for
 *   pipeline:  command { | command }
 *   command:   words, and redirections anywhere among them: [n]< file  [n]> file  [n]>> file  [n]>&m  << word
 *   words:     'quoted', "quoted", or plain; # begins a comment, a backslash makes the next character plain
 *
 * Known to sh itself: cd, echo, exit, wait.
 */
#include "libc.h"

#define MAX_WORDS 64
#define MAX_STAGES 8
#define MAX_REDIRECTIONS 4
#define LINE_SIZE 4096

struct redirection {
	int fd;
	char kind;			/* '<', '>', 'a' for >>, '&' for >&, 'h' for << */
	int from;			/* >&: which it becomes; <<: a pipe with the text */
	char *path;
};

struct command {
	char *words[MAX_WORDS + 1];
	int count;
	struct redirection redirections[MAX_REDIRECTIONS];
	int redirected;
};

struct pipeline {
	struct command stages[MAX_STAGES];
	int count;
	int background;
	char after;			/* ';', or '&' for &&, or '|' for ||: what follows it */
};

/* Where lines come from: a file, or with fd -1 only what is in the buffer. */
static struct {
	int fd;
	char buffer[LINE_SIZE];
	size_t used, at;
} source;

static char line_words[LINE_SIZE];	/* the text of all words of the line that is being read */
static size_t words_used;
static int last_status;

static int refill(void)
{
	ssize_t count;

	if (source.at) {
		source.used -= source.at;
		memcpy(source.buffer, source.buffer + source.at, source.used);
		source.at = 0;
	}
	if (source.fd < 0 || source.used == sizeof(source.buffer) - 1)
		return 0;
	count = read(source.fd, source.buffer + source.used, sizeof(source.buffer) - 1 - source.used);
	if (count > 0)
		source.used += count;
	return count > 0;
}

/* Copies the next line without its newline. 0 where there is none. */
static int next_line(char *line)
{
	size_t length = 0;

	for (;;) {
		while (source.at + length < source.used && source.buffer[source.at + length] != '\n')
			length++;
		if (source.at + length < source.used)
			break;
		if (!refill()) {
			if (!length)
				return 0;
			break;
		}
		length = 0;
	}
	memcpy(line, source.buffer + source.at, length);
	line[length] = '\0';
	source.at += length + (source.at + length < source.used);
	return 1;
}

static int is_end_of_word(char c)
{
	return !c || strchr(" \t\n;|&<>#", c) != NULL;
}

/* A backslash that only says that the next character is plain. */
static int is_escape(const char *at, char quote)
{
	return *at == '\\' && at[1] && (!quote || (quote == '"' && strchr("$`\"\\", at[1])));
}

static void skip_blanks(const char **at)
{
	while (**at == ' ' || **at == '\t')
		++*at;
}

/* Copies the next word, without its quotes, into line_words. NULL where there is none. */
static char *take_word(const char **at)
{
	char *word = line_words + words_used;

	skip_blanks(at);
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

/* A here-document: the lines up to the one that is the word, in a pipe. What a pipe does not hold is cut off. */
static int read_here(const char *end)
{
	static char line[LINE_SIZE];
	size_t room = 15 * LINE_SIZE;
	int fds[2];

	if (pipe(fds) < 0)
		return -1;
	while (next_line(line) && strcmp(line, end)) {
		size_t length = strlen(line);

		line[length++] = '\n';
		if (length <= room && write(fds[1], line, length) > 0)
			room -= length;
	}
	close(fds[1]);
	return fds[0];
}

static int is_redirection(const char *at)
{
	return *at == '<' || *at == '>' || ((*at == '0' || *at == '1' || *at == '2') && (at[1] == '<' || at[1] == '>'));
}

static int parse_redirection(const char **at, struct command *command)
{
	struct redirection *to = command->redirections + command->redirected;
	int named = **at >= '0' && **at <= '9';

	if (command->redirected == MAX_REDIRECTIONS)
		return syntax_error(*at);
	to->fd = named ? **at - '0' : **at == '>';
	*at += named;
	to->kind = *(*at)++;
	if (to->kind == **at)
		to->kind = to->kind == '>' ? 'a' : 'h', ++*at;
	else if (to->kind == '>' && **at == '&')
		to->kind = '&', ++*at;
	if (!(to->path = take_word(at)))
		return syntax_error(*at);
	if (to->kind == 'h')
		to->from = read_here(to->path);
	else if (to->kind == '&' && (to->path[1] || to->path[0] < '0' || to->path[0] > '2'))
		return syntax_error(to->path);
	else if (to->kind == '&')
		to->from = to->path[0] - '0';
	command->redirected++;
	return 0;
}

/* Reads one pipeline with the `;`, `&`, `&&` or `||` behind it. Returns -1 after saying what is wrong. */
static int parse_pipeline(const char **at, struct pipeline *line)
{
	struct command *command = line->stages;

	memset(line, 0, sizeof(*line));
	line->count = 1;
	for (;;) {
		char *word;

		skip_blanks(at);
		if (is_redirection(*at)) {
			if (parse_redirection(at, command) < 0)
				return -1;
		} else if ((word = take_word(at))) {
			if (command->count == MAX_WORDS)
				return syntax_error(word);
			command->words[command->count++] = word;
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

/* Puts files in the places of fds. Returns -1 after saying what is wrong. */
static int redirect(struct command *command)
{
	for (int n = 0; n < command->redirected; n++) {
		struct redirection *to = command->redirections + n;
		int mode = O_WRONLY | O_CREAT | (to->kind == 'a' ? O_APPEND : O_TRUNC);

		if (to->kind == '&') {
			dup2(to->from, to->fd);
		} else if (to->kind == 'h') {
			move_fd(to->from, to->fd);
		} else if (move_fd(open(to->path, to->kind == '<' ? O_RDONLY : mode, 0644), to->fd) < 0) {
			complain("sh", to->path);
			return -1;
		}
	}
	return 0;
}

static int builtin(struct command *command)
{
	char **words = command->words;

	if (!strcmp(words[0], "cd"))
		return chdir(words[1] ? words[1] : "/") < 0 ? complain("cd", words[1]) : 0;
	return echo(command->count, words, "sh", "write error");
}

static int is_builtin(const char *word)
{
	return !strcmp(word, "cd") || !strcmp(word, "echo");
}

/* In sh itself, with its own files put aside meanwhile. */
static int run_builtin(struct command *command)
{
	int kept[3], status = 1;

	for (int fd = 0; fd < 3; fd++)
		kept[fd] = dup(fd);
	if (redirect(command) == 0)
		status = builtin(command);
	for (int fd = 0; fd < 3; fd++)
		move_fd(kept[fd], fd);
	return status;
}

/* In the child: files in place of 0, 1 and 2, then the program. Does not return. */
static void run_stage(struct command *command)
{
	if (redirect(command) < 0)
		_exit(1);
	if (!command->count)
		_exit(0);
	if (is_builtin(command->words[0]))
		_exit(builtin(command));
	execvp(command->words[0], command->words);
	if (errno == ENOENT)
		dprintf(2, "sh: %s: not found\n", command->words[0]);
	else
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

static void close_here(struct pipeline *line)
{
	for (int n = 0; n < line->count; n++)
		for (int r = 0; r < line->stages[n].redirected; r++)
			if (line->stages[n].redirections[r].kind == 'h')
				close(line->stages[n].redirections[r].from);
}

/* Forks every stage; each reads what the one before it writes. Ctrl-C does not reach those in the background. */
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
			if (line->background || source.fd == 0)
				ignore(SIGINT, line->background);
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
	close_here(line);
	if (!line->background)
		wait_for(child);
}

static void run_line(const char *at)
{
	static struct pipeline line;
	char before = ';';

	words_used = 0;
	for (; *at && *at != '#'; before = line.after) {
		if (parse_pipeline(&at, &line) < 0)
			return;
		struct command *first = line.stages;
		char **words = first->words;

		if ((!words[0] && !first->redirected) || (before == '&' && last_status) || (before == '|' && !last_status))
			continue;
		if (words[0] && !strcmp(words[0], "exit"))
			exit(words[1] ? strtonum(words[1], &(const char *){ 0 }) : last_status);
		else if (words[0] && !strcmp(words[0], "wait"))
			wait_for(-1);
		else if (words[0] && is_builtin(words[0]) && line.count == 1 && !line.background)
			last_status = run_builtin(first);
		else
			run_pipeline(&line);
	}
}

int main(int argc, char *argv[])
{
	static char line[LINE_SIZE];

	source.fd = -1;
	if (argc == 3 && !strcmp(argv[1], "-c")) {
		source.used = strlen(argv[2]);
		if (source.used > sizeof(source.buffer) - 1)
			source.used = sizeof(source.buffer) - 1;
		memcpy(source.buffer, argv[2], source.used);
	} else if (argc > 1) {
		if ((source.fd = open(argv[1], O_RDONLY)) < 0)
			return complain("sh", argv[1]);
	} else {
		source.fd = 0;
		ignore(SIGINT, 1);
	}
	while (next_line(line))
		run_line(line);
	return last_status;
}
