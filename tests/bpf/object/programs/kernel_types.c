/* The kernel of the CO-RE tests: only its types are used. core_fields.c has other ideas of all of them. */

struct moved {
	long new_at_the_front;
	int first;
	union {
		struct {
			short deep;
			char letters[12];
		};
		long other;
	};
	unsigned long long widened;
	long long signed_widened;
	unsigned int low : 3, middle : 9, high : 20;
	int negative : 5;
	void *pointer;
	struct moved *next;
	int tail[];
};

enum colour {
	RED = 10,
	GREEN = -20,
	BLUE = 30,
};

struct same {
	int x;
	char y[4];
	struct moved *p;
};

struct twice {
	int value;
};

typedef int (*callback_t)(struct moved *, int);
typedef struct {
	int inside;
} anonymous_t;

struct moved moved;
enum colour colour;
struct same same;
struct twice twice;
callback_t callback;
anonymous_t anonymous;

__attribute__((section("?raw_tp"), used)) int nothing(void *ctx)
{
	return moved.first + colour + same.x + twice.value + anonymous.inside + (callback != 0);
}
