// SPDX-License-Identifier: Apache-2.0
// @aws-sdk/client-s3 and minio against the endpoint of the environment. What each request carried is taken down by a middleware,
// so that a test proves not only that an upload worked but in which form it went.
import assert from 'node:assert/strict';
import {createHash, randomBytes} from 'node:crypto';
import {readFileSync} from 'node:fs';
import {Readable} from 'node:stream';
import {after, test} from 'node:test';
import {
  AbortMultipartUploadCommand, CompleteMultipartUploadCommand, CopyObjectCommand, CreateMultipartUploadCommand, DeleteObjectCommand,
  DeleteObjectsCommand, GetObjectCommand, HeadBucketCommand, HeadObjectCommand, ListBucketsCommand, ListObjectsV2Command, ListPartsCommand,
  PutObjectCommand, RenameObjectCommand, S3Client, UploadPartCommand, UploadPartCopyCommand, paginateListObjectsV2,
} from '@aws-sdk/client-s3';
import {Upload} from '@aws-sdk/lib-storage';
import * as Minio from 'minio';

const {FB_E2E_ENDPOINT: endpoint, FB_E2E_BUCKET: Bucket} = process.env;
const credentials = {accessKeyId: process.env.FB_E2E_ACCESS_KEY, secretAccessKey: process.env.FB_E2E_SECRET_KEY};
const MIB = 1 << 20;
const version = JSON.parse(readFileSync(new URL('./node_modules/@aws-sdk/client-s3/package.json', import.meta.url))).version;
const minioVersion = JSON.parse(readFileSync(new URL('./node_modules/minio/package.json', import.meta.url))).version;
console.log(`clients: @aws-sdk/client-s3 ${version}, minio ${minioVersion}, node ${process.version}`);

let sent = [];  // the headers of each request, in order
function client(options = {}) {
  const made = new S3Client({endpoint, credentials, region: 'us-east-1', forcePathStyle: true, maxAttempts: 1, ...options});
  made.middlewareStack.add((next) => (args) => {
    sent.push(Object.fromEntries(Object.entries(args.request.headers).map(([name, value]) => [name.toLowerCase(), value])));
    return next(args);
  }, {step: 'finalizeRequest', priority: 'low', name: 'takeDown'});
  return made;
}
const s3 = client();
after(() => s3.destroy());

const last = () => sent.at(-1);
const send = (command) => s3.send(command);
const body = async (Key, extra = {}) => Buffer.from(await (await send(new GetObjectCommand({Bucket, Key, ...extra}))).Body.transformToByteArray());
const etag = (data) => `"${createHash('md5').update(data).digest('hex')}"`;
const refused = (promise, status, name) => assert.rejects(promise, (error) => {
  assert.equal(error.$metadata?.httpStatusCode, status, String(error));
  if (name) assert.equal(error.name, name);
  return true;
});

test('buckets', async () => {
  assert.ok((await send(new ListBucketsCommand({}))).Buckets.some((bucket) => bucket.Name === Bucket));
  await send(new HeadBucketCommand({Bucket}));
  await refused(send(new HeadBucketCommand({Bucket: 'there-is-no-such-bucket'})), 404);
});

test('a put carries a checksum by default, which is verified and returned', async () => {
  const data = randomBytes(100000);
  const put = await send(new PutObjectCommand({Bucket, Key: 'default', Body: data}));
  const name = Object.keys(last()).find((header) => /^x-amz-checksum-(crc32|crc64nvme)$/.test(header));
  const trailer = last()['x-amz-trailer'];
  assert.ok(name || /^x-amz-checksum-(crc32|crc64nvme)$/.test(trailer), JSON.stringify(last()));
  assert.equal(put.ETag, etag(data));
  assert.ok(put.ChecksumCRC32 || put.ChecksumCRC64NVME);
  const got = await send(new GetObjectCommand({Bucket, Key: 'default'}));
  assert.equal(last()['x-amz-checksum-mode'], 'ENABLED');
  assert.equal(got.ChecksumCRC32 ?? got.ChecksumCRC64NVME, put.ChecksumCRC32 ?? put.ChecksumCRC64NVME);
  assert.deepEqual(Buffer.from(await got.Body.transformToByteArray()), data);
});

for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']) {
  test(`checksum ${algorithm}, of a buffer and of a stream`, async () => {
    const data = randomBytes(70000);
    for (const Body of [data, Readable.from([data.subarray(0, 9), data.subarray(9)])]) {
      const put = await send(new PutObjectCommand({Bucket, Key: algorithm, Body, ContentLength: data.length, ChecksumAlgorithm: algorithm}));
      assert.ok(put[`Checksum${algorithm}`]);
      const head = await send(new HeadObjectCommand({Bucket, Key: algorithm, ChecksumMode: 'ENABLED'}));
      assert.equal(head[`Checksum${algorithm}`], put[`Checksum${algorithm}`]);
      assert.equal(head.ChecksumType, 'FULL_OBJECT');
      assert.deepEqual(await body(algorithm), data);
    }
  });
}

test('a stream goes as STREAMING-UNSIGNED-PAYLOAD-TRAILER', async () => {
  const data = randomBytes(300000);
  await send(new PutObjectCommand({Bucket, Key: 'stream', Body: Readable.from([data.subarray(0, 1000), data.subarray(1000)]), ContentLength: data.length}));
  assert.equal(last()['x-amz-content-sha256'], 'STREAMING-UNSIGNED-PAYLOAD-TRAILER');
  assert.match(last()['content-encoding'], /aws-chunked/);
  assert.match(last()['x-amz-trailer'], /^x-amz-checksum-/);
  assert.deepEqual(await body('stream'), data);
  assert.equal((await send(new HeadObjectCommand({Bucket, Key: 'stream'}))).ContentEncoding, undefined);
});

test('without checksums, where they are only sent when required', async () => {
  const plain = client({requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED'});
  await plain.send(new PutObjectCommand({Bucket, Key: 'plain', Body: 'plain'}));
  assert.ok(!Object.keys(last()).some((name) => name.startsWith('x-amz-checksum') || name === 'x-amz-trailer'));
  assert.equal((await body('plain')).toString(), 'plain');
  plain.destroy();
});

test('a wrong checksum is refused', async () => {
  await refused(send(new PutObjectCommand({Bucket, Key: 'wrong', Body: 'data', ChecksumCRC32: 'AAAAAA=='})), 400, 'BadDigest');
  await refused(send(new HeadObjectCommand({Bucket, Key: 'wrong'})), 404);
});

test('conditional writes', async () => {
  const put = (Key, Body, condition) => send(new PutObjectCommand({Bucket, Key, Body, ...condition}));
  const made = await put('guarded', 'one', {IfNoneMatch: '*'});
  assert.equal(made.ETag, etag('one'));
  await refused(put('guarded', 'two', {IfNoneMatch: '*'}), 412, 'PreconditionFailed');
  await refused(put('guarded', 'two', {IfMatch: etag('other')}), 412, 'PreconditionFailed');
  await refused(put('never', 'two', {IfMatch: etag('one')}), 404, 'NoSuchKey');
  await refused(put('guarded', 'two', {IfNoneMatch: etag('one')}), 501, 'NotImplemented');
  await put('guarded', 'two', {IfMatch: made.ETag});
  assert.equal((await body('guarded')).toString(), 'two');

  const CopySource = `${Bucket}/guarded`;
  await refused(send(new CopyObjectCommand({Bucket, Key: 'guarded', CopySource, MetadataDirective: 'REPLACE', IfNoneMatch: '*'})), 412);
  await send(new CopyObjectCommand({Bucket, Key: 'guarded-copy', CopySource, IfNoneMatch: '*'}));
  await refused(send(new CopyObjectCommand({Bucket, Key: 'guarded-copy', CopySource, IfNoneMatch: '*'})), 412, 'PreconditionFailed');

  const {UploadId} = await send(new CreateMultipartUploadCommand({Bucket, Key: 'guarded'}));
  const {ETag} = await send(new UploadPartCommand({Bucket, Key: 'guarded', UploadId, PartNumber: 1, Body: 'three'}));
  const complete = (condition) => send(new CompleteMultipartUploadCommand({Bucket, Key: 'guarded', UploadId,
    MultipartUpload: {Parts: [{PartNumber: 1, ETag}]}, ...condition}));
  await refused(complete({IfNoneMatch: '*'}), 412, 'PreconditionFailed');
  await complete({IfMatch: etag('two')});

  await refused(send(new DeleteObjectCommand({Bucket, Key: 'guarded', IfMatch: etag('two')})), 412, 'PreconditionFailed');
  const many = await send(new DeleteObjectsCommand({Bucket, Delete: {Objects: [{Key: 'guarded', ETag: etag('two')}, {Key: 'guarded-copy', ETag: etag('two')}]}}));
  assert.deepEqual(many.Deleted.map((item) => item.Key), ['guarded-copy']);
  assert.deepEqual(many.Errors.map((item) => [item.Key, item.Code]), [['guarded', 'PreconditionFailed']]);
  await send(new DeleteObjectCommand({Bucket, Key: 'guarded', IfMatch: '*'}));
  await refused(send(new DeleteObjectCommand({Bucket, Key: 'guarded', IfMatch: '*'})), 404, 'NoSuchKey');
});

test('a counter under compare-and-swap, from many clients at once', async () => {
  await send(new PutObjectCommand({Bucket, Key: 'counter', Body: '0'}));
  const increment = async () => {
    for (;;) {
      const got = await send(new GetObjectCommand({Bucket, Key: 'counter'}));
      const next = String(Number(await got.Body.transformToString()) + 1);
      try {
        return await send(new PutObjectCommand({Bucket, Key: 'counter', Body: next, IfMatch: got.ETag}));
      } catch (error) {
        assert.equal(error.$metadata?.httpStatusCode, 412, String(error));
      }
    }
  };
  await Promise.all(Array.from({length: 8}, async () => { for (let i = 0; i < 10; ++i) await increment(); }));
  assert.equal((await body('counter')).toString(), '80');
});

test('renames, of objects and of directories', async () => {
  const rename = (Key, RenameSource, more) => send(new RenameObjectCommand({Bucket, Key, RenameSource: encodeURIComponent(RenameSource), ...more}));
  await send(new PutObjectCommand({Bucket, Key: 'rename/ö +', Body: 'renamed'}));
  await send(new PutObjectCommand({Bucket, Key: 'rename/taken', Body: 'taken'}));
  await refused(rename('rename/taken', 'rename/ö +', {DestinationIfNoneMatch: '*'}), 412, 'PreconditionFailed');
  await refused(rename('rename/new', 'rename/ö +', {SourceIfModifiedSince: new Date(Date.now() + 1e8)}), 412, 'PreconditionFailed');
  await rename('rename/taken', 'rename/ö +', {DestinationIfMatch: etag('taken'), SourceIfMatch: etag('renamed')});
  assert.match(last()['x-amz-client-token'], /^[0-9a-f-]{36}$/, 'the SDK makes a token of its own');
  assert.equal((await body('rename/taken')).toString(), 'renamed');
  await refused(rename('rename/new', 'rename/ö +'), 404, 'NoSuchKey');

  await rename('renamed/deep/', 'rename/', {ClientToken: 'once'});
  await rename('renamed/deep/', 'rename/', {ClientToken: 'once'});
  await refused(rename('renamed/other/', 'rename/', {ClientToken: 'once'}), 400, 'IdempotencyParameterMismatch');
  assert.equal((await body('renamed/deep/taken')).toString(), 'renamed');
});

test('multipart uploads with composite and full-object checksums', async () => {
  const parts = [randomBytes(5 * MIB), randomBytes(1234)];
  for (const [ChecksumAlgorithm, ChecksumType] of [
    ['CRC32', 'COMPOSITE'], ['CRC32', 'FULL_OBJECT'], ['CRC64NVME', 'FULL_OBJECT'], ['CRC32C', 'FULL_OBJECT'], ['CRC32C', 'COMPOSITE'],
    ['SHA1', 'COMPOSITE'], ['SHA256', 'COMPOSITE']]) {
    const Key = `multipart-${ChecksumAlgorithm}-${ChecksumType}`;
    const {UploadId} = await send(new CreateMultipartUploadCommand({Bucket, Key, ChecksumAlgorithm, ChecksumType}));
    const Parts = [];
    for (const [index, Body] of parts.entries()) {
      const part = await send(new UploadPartCommand({Bucket, Key, UploadId, PartNumber: index + 1, Body, ChecksumAlgorithm}));
      const name = `Checksum${ChecksumAlgorithm}`;
      assert.ok(part[name], Key);
      Parts.push({PartNumber: index + 1, ETag: part.ETag, [name]: part[name]});
    }
    assert.equal((await send(new ListPartsCommand({Bucket, Key, UploadId}))).Parts.length, 2);
    const done = await send(new CompleteMultipartUploadCommand({Bucket, Key, UploadId, MultipartUpload: {Parts}, ChecksumType}));
    assert.match(done.ETag, /^"[0-9a-f]{32}-2"$/);
    const head = await send(new HeadObjectCommand({Bucket, Key, ChecksumMode: 'ENABLED'}));
    assert.equal(head.ChecksumType, ChecksumType, Key);
    assert.equal(/-2$/.test(head[`Checksum${ChecksumAlgorithm}`]), ChecksumType === 'COMPOSITE', Key);
    assert.ok(Buffer.concat(parts).equals(await body(Key)), Key);
  }
});

test('the transfer manager, from a stream of unknown length', async () => {
  const data = randomBytes(17 * MIB + 3);
  const upload = new Upload({client: s3, params: {Bucket, Key: 'managed', Body: Readable.from([data.subarray(0, MIB), data.subarray(MIB)])}});
  const done = await upload.done();
  assert.match(done.ETag, /-4"$/);
  assert.ok(data.equals(await body('managed')));
});

test('an upload that is aborted leaves nothing', async () => {
  const {UploadId} = await send(new CreateMultipartUploadCommand({Bucket, Key: 'aborted'}));
  await send(new UploadPartCommand({Bucket, Key: 'aborted', UploadId, PartNumber: 1, Body: 'part'}));
  await send(new AbortMultipartUploadCommand({Bucket, Key: 'aborted', UploadId}));
  await refused(send(new ListPartsCommand({Bucket, Key: 'aborted', UploadId})), 404, 'NoSuchUpload');
});

test('copies, of objects and of parts', async () => {
  const data = randomBytes(6 * MIB);
  await send(new PutObjectCommand({Bucket, Key: 'source ü+', Body: data, Metadata: {k: 'v'}}));
  const CopySource = `${Bucket}/${encodeURIComponent('source ü+')}`;
  await send(new CopyObjectCommand({Bucket, Key: 'copied', CopySource}));
  assert.deepEqual((await send(new HeadObjectCommand({Bucket, Key: 'copied'}))).Metadata, {k: 'v'});
  const {UploadId} = await send(new CreateMultipartUploadCommand({Bucket, Key: 'assembled'}));
  const Parts = [];
  for (const [index, CopySourceRange] of ['bytes=0-5242879', 'bytes=5242880-6291455'].entries()) {
    const part = await send(new UploadPartCopyCommand({Bucket, Key: 'assembled', UploadId, PartNumber: index + 1, CopySource, CopySourceRange}));
    Parts.push({PartNumber: index + 1, ETag: part.CopyPartResult.ETag});
  }
  await send(new CompleteMultipartUploadCommand({Bucket, Key: 'assembled', UploadId, MultipartUpload: {Parts}}));
  assert.ok(data.equals(await body('assembled')));
});

test('ranges and conditions on reads', async () => {
  await send(new PutObjectCommand({Bucket, Key: 'read', Body: 'abcdef'}));
  assert.equal((await body('read', {Range: 'bytes=2-3'})).toString(), 'cd');
  await refused(send(new GetObjectCommand({Bucket, Key: 'read', IfNoneMatch: etag('abcdef')})), 304);
  await refused(send(new GetObjectCommand({Bucket, Key: 'read', IfMatch: '"other"'})), 412, 'PreconditionFailed');
  await refused(send(new GetObjectCommand({Bucket, Key: 'missing'})), 404, 'NoSuchKey');
});

test('keys of every kind, listed with pages, deleted in bulk', async () => {
  const keys = ['k/sp ace', 'k/pl+us', 'k/ünï', 'k/日本', 'k/per%cent', 'k/a&b<c>', "k/it's", 'k//double', 'k/q?x=1', 'k/h#ash', 'k/\u{1f600}'];
  for (const Key of keys) await send(new PutObjectCommand({Bucket, Key, Body: Key}));
  for (const Key of keys) assert.equal((await body(Key)).toString(), Key);
  const listed = [];
  for await (const page of paginateListObjectsV2({client: s3, pageSize: 3}, {Bucket, Prefix: 'k/'})) listed.push(...page.Contents.map((item) => item.Key));
  assert.deepEqual(listed, keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))));
  const deleted = await send(new DeleteObjectsCommand({Bucket, Delete: {Objects: keys.map((Key) => ({Key}))}}));
  assert.ok(Object.keys(last()).some((name) => name.startsWith('x-amz-checksum-')), 'bulk deletes carry a checksum, not Content-MD5');
  assert.equal(deleted.Deleted.length, keys.length);
  assert.equal((await send(new ListObjectsV2Command({Bucket, Prefix: 'k/'}))).KeyCount, 0);
});

test('metadata and headers', async () => {
  await send(new PutObjectCommand({Bucket, Key: 'meta', Body: '', Metadata: {a: '1', bee: 'two words'}, ContentType: 'text/x', CacheControl: 'no-cache',
    ContentDisposition: 'inline', ContentLanguage: 'en'}));
  const head = await send(new HeadObjectCommand({Bucket, Key: 'meta'}));
  assert.deepEqual([head.Metadata, head.ContentType, head.CacheControl, head.ContentDisposition, head.ContentLanguage, head.ContentLength],
    [{a: '1', bee: 'two words'}, 'text/x', 'no-cache', 'inline', 'en', 0]);
});

test('deletes', async () => {
  await send(new PutObjectCommand({Bucket, Key: 'gone', Body: 'x'}));
  await send(new DeleteObjectCommand({Bucket, Key: 'gone'}));
  await send(new DeleteObjectCommand({Bucket, Key: 'gone'}));
  await refused(send(new GetObjectCommand({Bucket, Key: 'gone'})), 404, 'NoSuchKey');
});

test('minio: a stream of unknown size, in parts, and one that fits a part', async () => {
  const {hostname, port, protocol} = new URL(endpoint);
  const minio = new Minio.Client({endPoint: hostname, port: Number(port), useSSL: protocol === 'https:', region: 'us-east-1',
    accessKey: credentials.accessKeyId, secretKey: credentials.secretAccessKey, partSize: 5 * MIB});
  for (const size of [11 * MIB + 3, 1000]) {
    const data = randomBytes(size);
    const pieces = async function* () {
      for (let at = 0; at < size; at += MIB) {
        yield data.subarray(at, at + MIB);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    };
    const {etag: tag} = await minio.putObject(Bucket, 'minio', Readable.from(pieces()));
    assert.match(tag, size > MIB ? /^[0-9a-f]{32}-[23]$/ : /^[0-9a-f]{32}(-1)?$/);
    const parts = [];
    for await (const part of await minio.getObject(Bucket, 'minio')) parts.push(part);
    assert.ok(data.equals(Buffer.concat(parts)));
    const head = await send(new HeadObjectCommand({Bucket, Key: 'minio', ChecksumMode: 'ENABLED'}));
    assert.ok(head.ChecksumCRC64NVME, 'an upload without algorithm gets CRC64NVME');
    assert.equal(head.ChecksumType, 'FULL_OBJECT');
  }
});
