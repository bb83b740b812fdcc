/* vsprintf.c: the part of printf that the kernel uses: %d %i %u %x %X %o %c %s %p %%, with 0 - width .precision l ll z h. */
#include "printk.h"
#include "string.h"

struct printf_spec {
	bool left, zero;
	int width, precision;	/* precision -1: not given */
	int longs;		/* 0: int, 1 and more: 64 bits */
};

struct out {
	char *buf;
	size_t size, len;	/* len counts on past size: what it would have been */
};

static void put(struct out *o, char c)
{
	if (o->len + 1 < o->size)
		o->buf[o->len] = c;
	o->len++;
}

static void put_field(struct out *o, const char *s, int len, struct printf_spec *spec, char pad)
{
	int fill = spec->width - len;

	for (; !spec->left && fill > 0; fill--)
		put(o, pad);
	for (int i = 0; i < len; i++)
		put(o, s[i]);
	for (; fill > 0; fill--)
		put(o, ' ');
}

static void put_number(struct out *o, u64 num, unsigned int base, bool is_signed, bool upper, struct printf_spec *spec)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char tmp[24];
	int at = sizeof(tmp);
	bool negative = is_signed && (s64)num < 0;

	if (negative)
		num = -num;
	do {
		tmp[--at] = digits[num % base];
		num /= base;
	} while (num);
	/* The sign comes before padding zeroes. */
	if (negative && spec->zero) {
		put(o, '-');
		spec->width--;
	} else if (negative) {
		tmp[--at] = '-';
	}
	put_field(o, tmp + at, sizeof(tmp) - at, spec, spec->zero && !spec->left ? '0' : ' ');
}

static const char *parse_spec(const char *fmt, struct printf_spec *spec, va_list *args)
{
	*spec = (struct printf_spec){ .precision = -1 };
	for (;; fmt++) {
		if (*fmt == '-')
			spec->left = true;
		else if (*fmt == '0')
			spec->zero = true;
		else
			break;
	}
	if (*fmt == '*') {
		spec->width = va_arg(*args, int);
		fmt++;
	}
	while (*fmt >= '0' && *fmt <= '9')
		spec->width = spec->width * 10 + *fmt++ - '0';
	if (*fmt == '.') {
		spec->precision = 0;
		if (*++fmt == '*') {
			spec->precision = va_arg(*args, int);
			fmt++;
		}
		while (*fmt >= '0' && *fmt <= '9')
			spec->precision = spec->precision * 10 + *fmt++ - '0';
	}
	for (; *fmt == 'l' || *fmt == 'z' || *fmt == 'h'; fmt++)
		if (*fmt != 'h')
			spec->longs++;
	return fmt;
}

static void put_string(struct out *o, const char *s, struct printf_spec *spec)
{
	if (!s)
		s = "(null)";
	put_field(o, s, spec->precision < 0 ? strlen(s) : strnlen(s, spec->precision), spec, ' ');
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct out o = { buf, size, 0 };
	struct printf_spec spec;
	va_list ap;

	va_copy(ap, args);
	for (; *fmt; fmt++) {
		char c;

		if (*fmt != '%') {
			put(&o, *fmt);
			continue;
		}
		fmt = parse_spec(fmt + 1, &spec, &ap);
		switch (*fmt) {
		case 'd':
		case 'i':
			put_number(&o, spec.longs ? va_arg(ap, long) : va_arg(ap, int), 10, true, false, &spec);
			break;
		case 'u':
		case 'x':
		case 'X':
		case 'o':
			put_number(&o, spec.longs ? va_arg(ap, unsigned long) : va_arg(ap, unsigned int),
				   *fmt == 'u' ? 10 : *fmt == 'o' ? 8 : 16, false, *fmt == 'X', &spec);
			break;
		case 'p':
			spec.zero = true;
			spec.width = 16;
			put_number(&o, va_arg(ap, unsigned long), 16, false, false, &spec);
			break;
		case 'c':
			c = va_arg(ap, int);
			put_field(&o, &c, 1, &spec, ' ');
			break;
		case 's':
			put_string(&o, va_arg(ap, const char *), &spec);
			break;
		default:
			put(&o, *fmt);
		}
	}
	va_end(ap);
	if (size)
		buf[min(o.len, size - 1)] = '\0';
	return o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len;
}

/* Returns what was really written. */
int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	int len;

	va_start(args, fmt);
	len = vsnprintf(buf, size, fmt, args);
	va_end(args);
	return len < (int)size ? len : (int)size - 1;
}
