package depot

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum returns the value of the header by which a server checks the content it receives.
func checksum(ctx context.Context, data *io.SectionReader) (string, error) {
	sum := crc32.New(castagnoli)
	if _, err := io.Copy(sum, reading(ctx, data)); err != nil {
		return "", err
	}
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum.Sum32())), nil
}

const checksumHeader = "X-Amz-Checksum-Crc32c"

// options returns the options of both ways to upload an object; they require that the name is free.
func (b *bucket) options() minio.PutObjectOptions {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", StorageClass: b.class,
		ServerSideEncryption: b.sse}
	o.SetMatchETagExcept("*")
	return o
}

// whole uploads an object in one request. minio-go would split a larger one into parts and send the condition with the
// request that begins the upload, instead of the one that completes it; that would replace an existing object.
func (b *bucket) whole(ctx context.Context, key string, data *io.SectionReader) error {
	sum, err := checksum(ctx, data)
	if err != nil {
		return err
	}
	o := b.options()
	o.DisableMultipart = true
	o.UserMetadata = map[string]string{checksumHeader: sum}
	_, err = b.core.Client.PutObject(ctx, b.name, key, newBody(ctx, data, 0, data.Size()), data.Size(), o)
	return err
}

// inParts uploads a large object in parts, with the condition on the request that completes it. It first removes the
// parts of earlier attempts, which cost money but show in no listing.
func (b *bucket) inParts(ctx context.Context, key string, data *io.SectionReader) (err error) {
	if err := b.abortOthers(ctx, key); err != nil {
		return err
	}
	// The first request has no condition: only that of the last request counts.
	id, err := b.core.NewMultipartUpload(ctx, b.name, key,
		minio.PutObjectOptions{ContentType: "application/octet-stream",
			StorageClass: b.class, ServerSideEncryption: b.sse,
			UserMetadata: map[string]string{"X-Amz-Checksum-Algorithm": "CRC32C"}})
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			late, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
			defer cancel()
			err = errors.Join(err, b.core.AbortMultipartUpload(late, b.name, key, id))
		}
	}()
	size := max(b.partLen, (data.Size()+9999)/10000)
	var parts []minio.CompletePart
	for from := int64(0); from < data.Size(); from += size {
		part := io.NewSectionReader(data, from, min(size, data.Size()-from))
		sum, err := checksum(ctx, part)
		if err != nil {
			return err
		}
		p, err := b.core.PutObjectPart(ctx, b.name, key, id, len(parts)+1, newBody(ctx, data, from, part.Size()),
			part.Size(),
			minio.PutObjectPartOptions{CustomHeader: http.Header{checksumHeader: {sum}}})
		if err != nil {
			return err
		}
		parts = append(parts, minio.CompletePart{PartNumber: p.PartNumber, ETag: p.ETag, ChecksumCRC32C: sum})
	}
	o := b.options()
	o.ContentType, o.StorageClass, o.ServerSideEncryption = "", "", nil
	_, err = b.core.CompleteMultipartUpload(ctx, b.name, key, id, parts, o)
	return err
}

// abortOthers aborts unfinished uploads of a key, which only this writer uses.
func (b *bucket) abortOthers(ctx context.Context, key string) error {
	list, err := b.core.ListMultipartUploads(ctx, b.name, key, "", "", "", 1000)
	if err != nil {
		return err
	}
	for _, u := range list.Uploads {
		if u.Key == key {
			if err := b.core.AbortMultipartUpload(ctx, b.name, key, u.UploadID); err != nil {
				return err
			}
		}
	}
	return nil
}

// body is the body of a request; the client may read it again from the beginning.
type body struct {
	*io.SectionReader
	ctx context.Context
}

func newBody(ctx context.Context, data *io.SectionReader, from, size int64) *body {
	return &body{io.NewSectionReader(data, from, size), ctx}
}

// Read implements io.Reader.
func (b *body) Read(p []byte) (int, error) {
	if err := context.Cause(b.ctx); err != nil {
		return 0, err
	}
	return b.SectionReader.Read(p)
}
