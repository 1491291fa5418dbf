/* What surrounds a Jupyter kernel and can be had without one: the connection file, signatures,
 * messages, and which cells are running. */
#include "shell/jup_conn.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "shell/jup_folder.h"
#include "shell/jup_msg.h"
#include "shell/jup_requests.h"
#include "shell/jup_sign.h"
#include "tests/check.h"

#define PORTS "\"shell_port\":1,\"iopub_port\":2,\"stdin_port\":3,\"control_port\":4,\"hb_port\":5"

static int parse(const char *text, struct jup_conn *c, struct err *err)
{
	return jup_conn_parse(text, strlen(text), c, err);
}

static void test_conn(void)
{
	static const char *const refused[][2] = {
		{ "[]", "object" },
		{ "{" PORTS ",\"ip\":\"0.0.0.0\"}", "'ip' is '0.0.0.0'" },
		{ "{" PORTS ",\"ip\":\"127.0.0.1.evil.org\"}", "'ip'" },
		{ "{" PORTS ",\"transport\":\"udp\"}", "'transport' is 'udp'" },
		{ "{\"shell_port\":1}", "'iopub_port'" },
		{ "{\"shell_port\":70000}", "'shell_port'" },
		{ "{\"shell_port\":1,\"iopub_port\":1}", "same" },
		{ "{" PORTS ",\"key\":7}", "'key'" },
		{ "{", "JSON" },
	};
	uint16_t inner[JUP_CHANNELS] = { 11, 12, 13, 14, 15 };
	autofree char *text = NULL, *files = NULL;
	struct jup_conn c;
	struct err err;

	for (size_t i = 0; i < ARRAY_LEN(refused); i++) {
		err = (struct err){ 0 };
		CHECK_EQ(parse(refused[i][0], &c, &err), -EINVAL);
		if (!strstr(err.text, refused[i][1]))
			CHECK_STR(err.text, refused[i][1]);
	}
	CHECK_EQ(parse("{" PORTS ",\"ip\":\"127.0.0.1\",\"key\":\"k\",\"kernel_name\":\"x\"}", &c,
		       &err),
		 0);
	CHECK(!c.ipc);
	CHECK(c.can_speak);
	CHECK_EQ(c.ports[JUP_HB], 5);
	CHECK_STR(c.key, "k");
	text = jup_conn_inner(&c, inner, NULL);
	CHECK(text && strstr(text, "\"shell_port\": 11") && strstr(text, "\"kernel_name\": \"x\""));
	files = jup_conn_inner(&c, inner, "/tmp/k");
	CHECK(files && strstr(files, "\"transport\": \"ipc\"") && strstr(files, "\"hb_port\": 5") &&
	      strstr(files, "\"ip\": \"/tmp/k\""));
	jup_conn_free(&c);
	CHECK_EQ(parse("{" PORTS ",\"key\":\"k\",\"signature_scheme\":\"hmac-md5\"}", &c, &err), 0);
	CHECK(!c.can_speak);
	jup_conn_free(&c);
	CHECK_EQ(parse("{" PORTS ",\"curve_publickey\":\"x\"}", &c, &err), 0);
	CHECK(!c.can_speak);
	jup_conn_free(&c);
}

/* RFC 4231, test cases 2 and 6 (a key of 131 bytes), and a text of several blocks. */
static void test_sign(void)
{
	const char *parts[] = { "what do ya want ", "for nothing?" };
	const char *larger[] = { "Test Using Larger Than Block-Size Key - Hash Key First" };
	char got[65], text[1001] = "", key[132];
	const char *one[] = { text };

	jup_sign("Jefe", parts, 2, got);
	CHECK_STR(got, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
	memset(key, 0xaa, 131);
	key[131] = '\0';
	jup_sign(key, larger, 1, got);
	CHECK_STR(got, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
	memset(text, 'a', 1000);
	jup_sign("key", one, 1, got);
	CHECK_STR(got, "db636adca1d68c3ad2b38a24933870131c45f55262bf8f07b0c9bdc728ee5fb9");
	jup_sign("", parts, 2, got);
	CHECK_STR(got, "");
}

/* What a client sends: its greeting, then requests. */
static void request(struct zmtp_out *o, const char *type, char id[33])
{
	jup_msg_put_id(o, "key", NULL, type, "client", "{}", json_pack("{s:s}", "code", "1"), id);
}

static void test_requests(void)
{
	struct jup_requests q = { 0 };
	struct zmtp_out o = { 0 };
	struct jup_tap t;
	char info[33], first[33], second[33], reply[128];

	zmtp_put_greeting(&o);
	zmtp_put_ready(&o, "DEALER");
	request(&o, "kernel_info_request", info);
	request(&o, "execute_request", first);
	request(&o, "execute_request", second);
	jup_tap_init(&t, &q);
	for (size_t i = 0; i < o.len; i++)
		jup_tap_client(&t, o.p + i, 1);
	CHECK_EQ(q.n, 2);
	CHECK_STR(q.open[0].id, first);
	CHECK(strstr(q.open[1].header, second) != NULL);
	CHECK(q.last_header && strstr(q.last_header, second));
	/* A reply that is cut anywhere is found. */
	snprintf(reply, sizeof(reply), "....%s....", first);
	jup_tap_kernel(&t, (const uint8_t *)reply, 20);
	CHECK_EQ(q.n, 2);
	jup_tap_kernel(&t, (const uint8_t *)reply + 20, strlen(reply) - 20);
	CHECK_EQ(q.n, 1);
	CHECK_STR(q.open[0].id, second);
	for (const char *p = second; *p; p++)
		jup_tap_kernel(&t, (const uint8_t *)p, 1);
	CHECK_EQ(q.n, 0);
	jup_tap_free(&t);
	jup_requests_free(&q);
	zmtp_out_free(&o);
}

/* A client that never gets a reply costs a bounded number of requests. */
static void test_many(void)
{
	struct jup_requests q = { 0 };
	struct zmtp_out o = { 0 };
	struct jup_tap t;
	char id[33];

	zmtp_put_greeting(&o);
	for (int i = 0; i < 3 * JUP_REQUESTS_MAX; i++)
		request(&o, "execute_request", id);
	jup_tap_init(&t, &q);
	jup_tap_client(&t, o.p, o.len);
	CHECK_EQ(q.n, JUP_REQUESTS_MAX);
	CHECK_STR(q.open[JUP_REQUESTS_MAX - 1].id, id);
	jup_tap_free(&t);
	jup_requests_free(&q);
	zmtp_out_free(&o);
}

static void test_folder(void)
{
	CHECK(jup_folder_refuse("/", "/users/ann") != NULL);
	CHECK(jup_folder_refuse("/users", "/users/ann") != NULL);
	CHECK(jup_folder_refuse("/users/ann", "/users/ann") != NULL);
	CHECK(jup_folder_refuse("/etc", "/users/ann") != NULL);
	CHECK(jup_folder_refuse("/users/ann/study", "/users/ann") == NULL);
	CHECK(jup_folder_refuse("/users/annabel", "/users/ann") == NULL);
	CHECK(jup_folder_refuse("/srv/data", NULL) == NULL);
}

int main(void)
{
	test_conn();
	test_sign();
	test_requests();
	test_many();
	test_folder();
	return check_report();
}
