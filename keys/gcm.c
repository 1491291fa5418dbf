#include "keys/gcm.h"

#include <assert.h>
#include <errno.h>
#include <sodium.h>

static_assert(sizeof(crypto_aead_aes256gcm_state) <= GCM_KEY_SIZE, "key must fit");

#if defined(__x86_64__) && defined(WITH_VAES)

#include <cpuid.h>
#include <immintrin.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

/* Counter mode: keystream block i is AES(key, nonce || BE32(i)), i from 2 on; block 1 masks the
 * tag.
 *
 * GHASH is computed as POLYVAL (RFC 8452, appendix A): on byte-reversed blocks and with the hash
 * key multiplied by x, a product needs no bit reflection and is reduced by two multiplications.
 * Sixteen blocks are multiplied by H^16 .. H^1 and reduced once. */

#define WIDE       __attribute__((target("avx2,vaes,vpclmulqdq,aes,pclmul,ssse3,sse4.1")))
#define WIDE_PART  WIDE __attribute__((always_inline)) static inline
#define ROUNDS     14
#define STEP       256u /* bytes of one pass: 16 blocks, two in a register */
#define STEP_PAIRS 8

/* Unrolled, whatever the level of optimisation: the arrays live in registers then. */
#ifdef __clang__
#define ALL_PAIRS(i) _Pragma("unroll") for (int i = 0; i < STEP_PAIRS; i++)
#else
#define ALL_PAIRS(i) _Pragma("GCC unroll 8") for (int i = 0; i < STEP_PAIRS; i++)
#endif

struct gcm_key {
	__m128i round[ROUNDS + 1];
	__m256i power[STEP_PAIRS]; /* (H^16, H^15), .. (H^2, H^1): first block of a pair is low */
};
static_assert(sizeof(struct gcm_key) <= GCM_KEY_SIZE, "key must fit");

/* The caller's bytes are aligned to 16 at least, not to 32: never read through the struct. */
WIDE_PART __m128i round_key(const uint8_t *k, int i)
{
	return _mm_loadu_si128((const __m128i *)(k + offsetof(struct gcm_key, round)) + i);
}

WIDE_PART __m256i power_pair(const uint8_t *k, int i)
{
	return _mm256_loadu_si256((const __m256i *)(k + offsetof(struct gcm_key, power)) + i);
}

/* H^i, 1..16 */
WIDE_PART const __m128i *power_at(const uint8_t *k, uint32_t i)
{
	return (const __m128i *)(k + offsetof(struct gcm_key, power)) + (2 * STEP_PAIRS - i);
}

/* -- GHASH ---------------------------------------------------------------- */

WIDE_PART __m128i reversed(__m128i x)
{
	return _mm_shuffle_epi8(x,
				_mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
}

WIDE_PART __m256i reversed2(__m256i x)
{
	return _mm256_shuffle_epi8(
		x, _mm256_broadcastsi128_si256(
			   _mm_set_epi8(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)));
}

/* A product of 256 bits that is not reduced: low, middle, high. */
struct product {
	__m128i lo, mid, hi;
};

WIDE_PART __m128i reduce(struct product p)
{
	const __m128i poly = _mm_set_epi64x((long long)0xc200000000000000u, 1);
	__m128i lo = _mm_xor_si128(p.lo, _mm_slli_si128(p.mid, 8));
	__m128i hi = _mm_xor_si128(p.hi, _mm_srli_si128(p.mid, 8));

	for (int i = 0; i < 2; i++)
		lo = _mm_xor_si128(_mm_shuffle_epi32(lo, 0x4e),
				   _mm_clmulepi64_si128(lo, poly, 0x10));
	return _mm_xor_si128(hi, lo);
}

WIDE_PART __m128i multiply(__m128i a, __m128i b)
{
	struct product p = {
		_mm_clmulepi64_si128(a, b, 0x00),
		_mm_xor_si128(_mm_clmulepi64_si128(a, b, 0x01), _mm_clmulepi64_si128(a, b, 0x10)),
		_mm_clmulepi64_si128(a, b, 0x11),
	};

	return reduce(p);
}

/* Sixteen blocks, in the order they lie in memory, and what was hashed before. */
WIDE_PART __m128i hash_step(const uint8_t *k, __m128i acc, const __m256i block[STEP_PAIRS])
{
	__m256i lo = _mm256_setzero_si256(), mid = lo, hi = lo;
	struct product p;

	ALL_PAIRS(i)
	{
		__m256i h = power_pair(k, i), x = reversed2(block[i]);

		if (i == 0)
			x = _mm256_xor_si256(x, _mm256_zextsi128_si256(acc));
		lo = _mm256_xor_si256(lo, _mm256_clmulepi64_epi128(x, h, 0x00));
		hi = _mm256_xor_si256(hi, _mm256_clmulepi64_epi128(x, h, 0x11));
		mid = _mm256_xor_si256(mid, _mm256_clmulepi64_epi128(x, h, 0x01));
		mid = _mm256_xor_si256(mid, _mm256_clmulepi64_epi128(x, h, 0x10));
	}
	p.lo = _mm_xor_si128(_mm256_castsi256_si128(lo), _mm256_extracti128_si256(lo, 1));
	p.mid = _mm_xor_si128(_mm256_castsi256_si128(mid), _mm256_extracti128_si256(mid, 1));
	p.hi = _mm_xor_si128(_mm256_castsi256_si128(hi), _mm256_extracti128_si256(hi, 1));
	return reduce(p);
}

/* Fewer than a step, zeros after 'len' up to the end of the last block. */
WIDE_PART __m128i hash_rest(const uint8_t *k, __m128i acc, const uint8_t *data, uint32_t len)
{
	__m128i h = _mm_loadu_si128(power_at(k, 1));

	for (uint32_t at = 0; at < len; at += 16) {
		__m128i x = _mm_loadu_si128((const __m128i *)(data + at));

		acc = multiply(_mm_xor_si128(acc, reversed(x)), h);
	}
	return acc;
}

WIDE_PART __m128i hash_aad(const uint8_t *k, const uint8_t *aad)
{
	return hash_rest(k, _mm_setzero_si128(), aad, GCM_AAD_LEN);
}

/* -- AES ------------------------------------------------------------------ */

WIDE_PART __m128i encrypt_one(const uint8_t *k, __m128i x)
{
	x = _mm_xor_si128(x, round_key(k, 0));
	for (int i = 1; i < ROUNDS; i++)
		x = _mm_aesenc_si128(x, round_key(k, i));
	return _mm_aesenclast_si128(x, round_key(k, ROUNDS));
}

/* The keystream of sixteen blocks; '*counter' is that of the next pair, its numbers not yet in the
 * byte order of the standard. */
WIDE_PART void keystream(const uint8_t *k, __m256i *counter, __m256i out[STEP_PAIRS])
{
	const __m256i order = _mm256_broadcastsi128_si256(
		_mm_set_epi8(12, 13, 14, 15, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0));
	const __m256i two = _mm256_set_epi32(2, 0, 0, 0, 2, 0, 0, 0);
	__m256i key = _mm256_broadcastsi128_si256(round_key(k, 0));

	ALL_PAIRS(i)
	{
		out[i] = _mm256_xor_si256(_mm256_shuffle_epi8(*counter, order), key);
		*counter = _mm256_add_epi32(*counter, two);
	}
	for (int r = 1; r < ROUNDS; r++) {
		key = _mm256_broadcastsi128_si256(round_key(k, r));
		ALL_PAIRS(i)
		out[i] = _mm256_aesenc_epi128(out[i], key);
	}
	key = _mm256_broadcastsi128_si256(round_key(k, ROUNDS));
	ALL_PAIRS(i)
	out[i] = _mm256_aesenclast_epi128(out[i], key);
}

WIDE_PART __m128i counter_block(const uint8_t *nonce, uint32_t number)
{
	int words[3];

	memcpy(words, nonce, sizeof(words));
	return _mm_set_epi32((int)number, words[2], words[1], words[0]);
}

WIDE_PART __m256i first_counters(const uint8_t *nonce)
{
	return _mm256_set_m128i(counter_block(nonce, 3), counter_block(nonce, 2));
}

WIDE_PART __m128i tag_mask(const uint8_t *k, const uint8_t *nonce)
{
	return encrypt_one(k, counter_block(nonce, 1u << 24));
}

WIDE_PART __m128i finish(const uint8_t *k, const uint8_t *nonce, __m128i acc, uint32_t len)
{
	__m128i bits = _mm_set_epi64x(GCM_AAD_LEN * 8, (long long)len * 8);

	acc = multiply(_mm_xor_si128(acc, bits), _mm_loadu_si128(power_at(k, 1)));
	return _mm_xor_si128(reversed(acc), tag_mask(k, nonce));
}

/* The keystream's first 'len' bytes, fewer than a step, laid over 'in'. */
WIDE_PART void rest_stream(const uint8_t *k, __m256i *counter, const uint8_t *in, uint32_t len,
			   uint8_t *out)
{
	uint8_t bytes[STEP];
	__m256i ks[STEP_PAIRS];

	keystream(k, counter, ks);
	memcpy(bytes, ks, sizeof(bytes));
	for (uint32_t i = 0; i < len; i++)
		out[i] = in[i] ^ bytes[i];
	explicit_bzero(bytes, sizeof(bytes));
}

WIDE_PART __m128i hash_padded(const uint8_t *k, __m128i acc, const uint8_t *data, uint32_t len)
{
	uint8_t padded[STEP] = { 0 };

	memcpy(padded, data, len);
	return hash_rest(k, acc, padded, len);
}

/* -- messages ------------------------------------------------------------- */

/* FIPS 197: each word of a round key is the one before it, xor the one of two keys before. */
WIDE_PART __m128i next_round_key(__m128i before, __m128i changed_word)
{
	before = _mm_xor_si128(before, _mm_slli_si128(before, 4));
	before = _mm_xor_si128(before, _mm_slli_si128(before, 8));
	return _mm_xor_si128(before, changed_word);
}

WIDE_PART void expand_round_keys(__m128i round[ROUNDS + 1])
{
	for (int i = 2; i <= ROUNDS; i++) {
		__m128i assist = _mm_aeskeygenassist_si128(round[i - 1], 0);

		if (i % 2 == 0)
			assist = _mm_xor_si128(_mm_shuffle_epi32(assist, 0xff),
					       _mm_set1_epi32(1 << (i / 2 - 1)));
		else
			assist = _mm_shuffle_epi32(assist, 0xaa);
		round[i] = next_round_key(round[i - 2], assist);
	}
}

/* x times h, as RFC 8452 has it: what makes a GHASH key one of POLYVAL. */
WIDE_PART __m128i times_x(__m128i h)
{
	__m128i carries = _mm_srli_epi64(h, 63);
	__m128i top = _mm_sub_epi64(_mm_setzero_si128(), _mm_unpackhi_epi64(carries, carries));
	__m128i poly = _mm_set_epi64x((long long)0xc200000000000000u, 1);

	h = _mm_or_si128(_mm_slli_epi64(h, 1), _mm_slli_si128(carries, 8));
	return _mm_xor_si128(h, _mm_and_si128(poly, top));
}

WIDE static void wide_expand(uint8_t k[static GCM_KEY_SIZE], const uint8_t key[static 32])
{
	__m128i round[ROUNDS + 1], h, power;

	round[0] = _mm_loadu_si128((const __m128i *)key);
	round[1] = _mm_loadu_si128((const __m128i *)(key + 16));
	expand_round_keys(round);
	memcpy(k + offsetof(struct gcm_key, round), round, sizeof(round));
	h = times_x(reversed(encrypt_one(k, _mm_setzero_si128())));
	power = h;
	for (uint32_t i = 1;; i++) {
		_mm_storeu_si128((__m128i *)power_at(k, i), power);
		if (i == 2 * STEP_PAIRS)
			break;
		power = multiply(power, h);
	}
	explicit_bzero(round, sizeof(round));
}

WIDE static void wide_seal(const uint8_t k[static GCM_KEY_SIZE],
			   const uint8_t nonce[static GCM_NONCE_LEN],
			   const uint8_t aad[static GCM_AAD_LEN], const uint8_t *plain,
			   uint32_t len, uint8_t *out, uint8_t tag[static GCM_TAG_LEN])
{
	__m256i counter = first_counters(nonce), x[STEP_PAIRS];
	__m128i acc = hash_aad(k, aad);
	uint32_t at = 0;

	for (; len - at >= STEP; at += STEP) {
		keystream(k, &counter, x);
		ALL_PAIRS(i)
		{
			x[i] = _mm256_xor_si256(
				x[i], _mm256_loadu_si256((const __m256i *)(plain + at) + i));
			_mm256_storeu_si256((__m256i *)(out + at) + i, x[i]);
		}
		acc = hash_step(k, acc, x);
	}
	if (at < len) {
		rest_stream(k, &counter, plain + at, len - at, out + at);
		acc = hash_padded(k, acc, out + at, len - at);
	}
	_mm_storeu_si128((__m128i *)tag, finish(k, nonce, acc, len));
}

WIDE static int wide_open(const uint8_t k[static GCM_KEY_SIZE],
			  const uint8_t nonce[static GCM_NONCE_LEN],
			  const uint8_t aad[static GCM_AAD_LEN], const uint8_t *data, uint32_t len,
			  const uint8_t tag[static GCM_TAG_LEN], uint8_t *out)
{
	__m256i counter = first_counters(nonce), x[STEP_PAIRS], ks[STEP_PAIRS];
	__m128i acc = hash_aad(k, aad), differ;
	uint32_t at = 0;

	for (; len - at >= STEP; at += STEP) {
		ALL_PAIRS(i)
		x[i] = _mm256_loadu_si256((const __m256i *)(data + at) + i);
		acc = hash_step(k, acc, x);
		if (!out)
			continue;
		keystream(k, &counter, ks);
		ALL_PAIRS(i)
		_mm256_storeu_si256((__m256i *)(out + at) + i, _mm256_xor_si256(ks[i], x[i]));
	}
	if (at < len) {
		acc = hash_padded(k, acc, data + at, len - at);
		if (out)
			rest_stream(k, &counter, data + at, len - at, out + at);
	}
	differ = _mm_xor_si128(finish(k, nonce, acc, len), _mm_loadu_si128((const __m128i *)tag));
	if (_mm_testz_si128(differ, differ))
		return 0;
	if (out)
		memset(out, 0, len);
	return -EBADMSG;
}

/* -- may it be used? ---------------------------------------------------------- */

static bool probe(void)
{
	unsigned a, b, c, d;

	/* That the system keeps the wide registers is part of the compiler's "avx2". */
	if (!__builtin_cpu_supports("avx2") || !__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_AES) ||
	    !(c & bit_PCLMUL) || !__get_cpuid_count(7, 0, &a, &b, &c, &d))
		return false;
	return (c & bit_VAES) && (c & bit_VPCLMULQDQ);
}

/* A processor or compiler that gets it wrong must not seal anything: once in each process a message
 * of whole steps and one with a rest are held against libsodium, and a changed tag is refused. */
static bool self_test(void)
{
	static const uint32_t lengths[] = { 2 * STEP, 3 * STEP - 5 };
	uint8_t key[32], nonce[GCM_NONCE_LEN], aad[GCM_AAD_LEN], tag[16], want_tag[16];
	uint8_t plain[3 * STEP], out[3 * STEP], want[3 * STEP];
	_Alignas(16) uint8_t k[GCM_KEY_SIZE];
	bool good = crypto_aead_aes256gcm_is_available() != 0;

	for (size_t i = 0; i < sizeof(plain); i++)
		plain[i] = (uint8_t)(i * 37 + i / 256);
	memcpy(key, plain + 1, sizeof(key));
	memcpy(nonce, plain + 40, sizeof(nonce));
	memcpy(aad, plain + 60, sizeof(aad));
	wide_expand(k, key);
	for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]) && good; i++) {
		uint32_t n = lengths[i];

		wide_seal(k, nonce, aad, plain, n, out, tag);
		crypto_aead_aes256gcm_encrypt_detached(want, want_tag, NULL, plain, n, aad,
						       sizeof(aad), NULL, nonce, key);
		good = memcmp(out, want, n) == 0 && memcmp(tag, want_tag, sizeof(tag)) == 0 &&
		       wide_open(k, nonce, aad, want, n, tag, out) == 0 &&
		       memcmp(out, plain, n) == 0;
		tag[i] ^= 1;
		good = good && wide_open(k, nonce, aad, want, n, tag, out) < 0;
	}
	return good;
}

bool gcm_wide(void)
{
	static atomic_int known; /* 0: not asked yet; virtual machines answer slowly */
	int is = atomic_load_explicit(&known, memory_order_relaxed);

	if (is == 0) {
		is = probe() && self_test() ? 1 : -1;
		atomic_store_explicit(&known, is, memory_order_relaxed);
	}
	return is > 0;
}

#else

bool gcm_wide(void)
{
	return false;
}

#endif

/* -- doors: the wide code where it serves, else libsodium ---------------------- */

void gcm_expand(uint8_t k[static GCM_KEY_SIZE], const uint8_t key[static 32])
{
#ifdef WIDE
	if (gcm_wide()) {
		wide_expand(k, key);
		return;
	}
#endif
	crypto_aead_aes256gcm_beforenm((void *)k, key);
}

void gcm_seal(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	      const uint8_t aad[static GCM_AAD_LEN], const uint8_t *plain, uint32_t len,
	      uint8_t *out, uint8_t tag[static GCM_TAG_LEN])
{
#ifdef WIDE
	if (gcm_wide()) {
		wide_seal(k, nonce, aad, plain, len, out, tag);
		return;
	}
#endif
	crypto_aead_aes256gcm_encrypt_detached_afternm(out, tag, NULL, plain, len, aad, GCM_AAD_LEN,
						       NULL, nonce, (const void *)k);
}

int gcm_open(const uint8_t k[static GCM_KEY_SIZE], const uint8_t nonce[static GCM_NONCE_LEN],
	     const uint8_t aad[static GCM_AAD_LEN], const uint8_t *data, uint32_t len,
	     const uint8_t tag[static GCM_TAG_LEN], uint8_t *out)
{
#ifdef WIDE
	if (gcm_wide())
		return wide_open(k, nonce, aad, data, len, tag, out);
#endif
	return crypto_aead_aes256gcm_decrypt_detached_afternm(
		       out, NULL, data, len, tag, aad, GCM_AAD_LEN, nonce, (const void *)k) < 0
		       ? -EBADMSG
		       : 0;
}
