// facegate_turbo decodes a JPEG that is of just that size, and whose luma has
// 1 << right by 1 << down samples for each of cb and cr, or none if these are
// NULL. Each plane has room for whole blocks of 8x8 of its samples, luma for
// whole multiples of as many as belong to one of chroma. It returns whether that
// went without a complaint.
int facegate_turbo(const unsigned char *data, unsigned long size,
	unsigned char *luma, unsigned char *cb, unsigned char *cr, int stride, int chroma_stride,
	int width, int height, int right, int down);
