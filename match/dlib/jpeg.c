//go:build dlib && cgo

#include <setjmp.h>
#include <stdio.h>
#include <jpeglib.h>
#include "jpeg.h"

// An encoder is libjpeg's, with its result and where to go on an error: left
// to itself, libjpeg would end the process.
struct encoder {
	struct jpeg_compress_struct jpeg;
	struct jpeg_error_mgr errors;
	jmp_buf failed;
	unsigned char *out;
	unsigned long size;
};

static void fail(j_common_ptr jpeg) {
	longjmp(((struct encoder *)jpeg->client_data)->failed, 1);
}

static void ignore(j_common_ptr jpeg) {
	(void)jpeg;
}

// weave writes a row of luma and chroma with three bytes a pixel.
static void weave(unsigned char *to, const unsigned char *luma, const unsigned char *cb, const unsigned char *cr,
	int right, int x0, int width) {
	for (int x = 0; x < width; x++, to += 3) {
		int at = (x + x0) >> right;
		to[0] = luma[x];
		to[1] = cb[at];
		to[2] = cr[at];
	}
}

unsigned char *facegate_jpeg(const unsigned char *luma, const unsigned char *cb, const unsigned char *cr,
	int stride, int chroma_stride, int right, int down, int x0, int y0,
	int width, int height, int quality, unsigned long *size) {
	struct encoder *e = calloc(1, sizeof *e);
	if (!e) {
		return NULL;
	}
	e->jpeg.err = jpeg_std_error(&e->errors);
	e->jpeg.client_data = e;
	e->errors.error_exit = fail;
	e->errors.output_message = ignore;
	if (setjmp(e->failed)) {
		jpeg_destroy_compress(&e->jpeg);
		free(e->out);
		free(e);
		return NULL;
	}
	jpeg_create_compress(&e->jpeg);
	jpeg_mem_dest(&e->jpeg, &e->out, &e->size);
	e->jpeg.image_width = width;
	e->jpeg.image_height = height;
	e->jpeg.in_color_space = cb ? JCS_YCbCr : JCS_EXT_RGBX;
	e->jpeg.input_components = cb ? 3 : 4;
	jpeg_set_defaults(&e->jpeg);
	jpeg_set_quality(&e->jpeg, quality, TRUE);
	jpeg_start_compress(&e->jpeg, TRUE);

	unsigned char *row = e->jpeg.mem->alloc_large((j_common_ptr)&e->jpeg, JPOOL_IMAGE, 3 * (size_t)width);
	for (int y = 0; y < height; y++) {
		unsigned char *line = (unsigned char *)luma + (size_t)y * stride;
		if (cb) {
			size_t chroma = (size_t)((y + y0) >> down) * chroma_stride;
			weave(row, line, cb + chroma, cr + chroma, right, x0, width);
			line = row;
		}
		jpeg_write_scanlines(&e->jpeg, &line, 1);
	}
	jpeg_finish_compress(&e->jpeg);
	jpeg_destroy_compress(&e->jpeg);

	unsigned char *out = e->out;
	*size = e->size;
	free(e);
	return out;
}
