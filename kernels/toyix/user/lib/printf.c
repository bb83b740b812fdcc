/* printf.c: formatted output, gathered and written with one system call. */
#include "libc.h"

struct line {
	char text[512];
	size_t length;
};

static void put(struct line *line, char c)
{
	if (line->length < sizeof(line->text))
		line->text[line->length++] = c;
}

static void put_padded(struct line *line, const char *s, size_t length, int width)
{
	for (int n = length; n < width; n++)
		put(line, ' ');
	while (length--)
		put(line, *s++);
}

static void put_number(struct line *line, unsigned long value, unsigned int base, int negative, int width)
{
	char digits[24], *at = digits + sizeof(digits);

	do {
		*--at = "0123456789abcdef"[value % base];
		value /= base;
	} while (value);
	if (negative)
		*--at = '-';
	put_padded(line, at, digits + sizeof(digits) - at, width);
}

static void format_line(struct line *line, const char *format, va_list args)
{
	for (; *format; format++) {
		int width = 0, is_long = 0;

		if (*format != '%') {
			put(line, *format);
			continue;
		}
		for (format++; *format >= '0' && *format <= '9'; format++)
			width = width * 10 + *format - '0';
		if (*format == 'l')
			is_long = 1, format++;
		if (*format == 's') {
			const char *s = va_arg(args, const char *);

			put_padded(line, s, strlen(s), width);
		} else if (*format == 'c') {
			put(line, va_arg(args, int));
		} else if (*format == 'd') {
			long value = is_long ? va_arg(args, long) : va_arg(args, int);

			put_number(line, value < 0 ? -(unsigned long)value : (unsigned long)value, 10, value < 0, width);
		} else if (*format == 'u' || *format == 'x') {
			unsigned long value = is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned int);

			put_number(line, value, *format == 'x' ? 16 : 10, 0, width);
		} else {
			put(line, *format);
		}
	}
}

int dprintf(int fd, const char *format, ...)
{
	struct line line = { .length = 0 };
	va_list args;

	va_start(args, format);
	format_line(&line, format, args);
	va_end(args);
	return write(fd, line.text, line.length);
}

int complain(const char *program, const char *what)
{
	dprintf(2, "%s: %s: %s\n", program, what, strerror(errno));
	return 1;
}
