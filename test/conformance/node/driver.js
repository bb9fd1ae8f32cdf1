// The conformance driver of kafkajs. It cannot read assigned partitions, but in a group; the other clients read what it wrote, too.
'use strict'

const { parseArgs } = require('node:util')
const { createHash } = require('node:crypto')
const { CompressionCodecs, CompressionTypes, ConfigResourceTypes, Kafka, Partitioners, logLevel } = require('kafkajs')
const snappy = require('kafkajs-snappy')
const lz4 = require('lz4js')
const zstd = require('@bokuweb/zstd-wasm')
const { Dataset, selftest, timestamp } = require('./dataset')
const { copy, committed } = require('./copy')

const CHECK_LIMIT_MS = 60000
const PROFILE = '3kevhdt' // its encoder refuses null header values

CompressionCodecs[CompressionTypes.Snappy] = snappy
CompressionCodecs[CompressionTypes.LZ4] = () => ({
  compress: async encoder => lz4Frame(encoder.buffer),
  decompress: async buffer => Buffer.from(lz4.decompress(buffer)),
})
CompressionCodecs[CompressionTypes.ZSTD] = () => ({
  compress: async encoder => Buffer.from(zstd.compress(encoder.buffer)),
  decompress: async buffer => Buffer.from(zstd.decompress(buffer)),
})

// Kafka takes only frames of independent blocks; lz4js makes dependent ones, so the frame around its blocks is made here.
function lz4Frame(source) {
  const header = Buffer.from([0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82]) // version 1, independent blocks, up to 64 KiB
  const parts = [header]
  for (let at = 0; at < source.length; at += 65536) {
    const block = source.subarray(at, at + 65536)
    const packed = Buffer.alloc(lz4.compressBound(block.length))
    const size = lz4.compressBlock(block, packed, 0, block.length, new Uint32Array(1 << 16))
    const stored = size === 0 || size >= block.length
    const length = Buffer.alloc(4)
    length.writeUInt32LE(stored ? (block.length | 0x80000000) >>> 0 : size)
    parts.push(length, stored ? block : packed.subarray(0, size))
  }
  parts.push(Buffer.alloc(4))
  return Buffer.concat(parts)
}

const text = { type: 'string' }
const flags = parseArgs({
  options: { stage: text, bootstrap: text, client: text, records: text, topics: text, data: text },
}).values
const client = flags.client || 'kafkajs'
const records = Number(flags.records || 10000)
const topicName = purpose => `feat-${client}-${purpose}`
const dataset = codec => new Dataset(`conf-${client}-${codec}-${PROFILE}`)

const kafka = new Kafka({ clientId: client, brokers: flags.bootstrap.split(','), logLevel: logLevel.NOTHING })
const admin = kafka.admin()
const byTurn = () => ({ message }) => message.partition

async function check(name, body) {
  let timer
  const limit = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error('no answer in time')), CHECK_LIMIT_MS)
  })
  const start = Date.now()
  try {
    await Promise.race([body(), limit])
    console.log(`ok ${name}`)
    return true
  } catch (e) {
    console.error(e)
    console.log(`FAIL ${name}: ${String(e.errors ? `${e} ${e.errors}` : e).replaceAll('\n', ' | ')}`)
    return false
  } finally {
    clearTimeout(timer)
    console.error(`${name} took ${Date.now() - start} ms`)
  }
}

function want(what, got, expected) {
  if (got !== expected) throw new Error(`${what} is ${got}, want ${expected}`)
}

// Repeats what looks at the effect of a change until it is there: Kafka's controller answers before its brokers know.
async function soon(what, look, expected) {
  for (const end = Date.now() + 10000; ; ) {
    const got = await look()
    if (got === expected || Date.now() > end) return want(what, got, expected)
  }
}

async function wantError(type, action) {
  let got
  try {
    got = await action()
  } catch (e) {
    const types = [e, ...(e.errors || []), e.cause].map(x => x && x.type)
    if (types.includes(type)) return
    throw new Error(`answered ${types} ${e}, want ${type}`)
  }
  throw new Error(`succeeded with ${JSON.stringify(got)}, want ${type}`)
}

// The records are old by their timestamps: they must not be deleted by age.
const create = (topic, numPartitions = 1, configEntries = [{ name: 'retention.ms', value: '-1' }]) =>
  admin.createTopics({ topics: [{ topic, numPartitions, replicationFactor: -1, configEntries }], waitForLeaders: true })

function toMessage(r) {
  const headers = {}
  for (const [k, v] of r.headers) {
    if (k in headers) headers[k].push(v)
    else headers[k] = [v]
  }
  return { key: r.key, value: r.value, headers, timestamp: String(r.timestamp), partition: r.partition }
}

async function withProducer(options, body) {
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner, ...options })
  await producer.connect()
  try {
    return await body(producer)
  } finally {
    await producer.disconnect()
  }
}

// One batch at a time, so that nothing overtakes.
const produce = (t, n, { compression, acks = -1, idempotent = false }) =>
  withProducer({ idempotent, maxInFlightRequests: 1, createPartitioner: byTurn, allowAutoTopicCreation: false }, async producer => {
    await create(t.name, t.partitions)
    for (let i = 0; i < n; i += 500) {
      const messages = []
      for (let j = i; j < Math.min(i + 500, n); j++) messages.push(toMessage(t.record(j)))
      await producer.send({ topic: t.name, messages, acks, compression })
    }
  })

// With acks=1 the end is told of when other replicas have the records, too.
async function ends(t, n) {
  const all = []
  for (let p = 0; p < t.partitions; p++) all.push(`${p}: 0 to ${t.count(p, n)}`)
  const look = async () => (await admin.fetchTopicOffsets(t.name)).map(o => `${o.partition}: ${o.low} to ${o.high}`).sort().join()
  await soon('ends of partitions', look, all.join())
}

// A second member goes on where the first one has committed.
async function groupResume() {
  const t = dataset('none')
  const groupId = `group-${client}-resume`
  const next = Array(t.partitions).fill(0)
  let taken = 0
  for (const until of [Math.floor(records / 3), records]) {
    const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100 })
    await consumer.connect()
    await consumer.subscribe({ topic: t.name, fromBeginning: true })
    await new Promise((resolve, reject) => {
      const eachMessage = async ({ partition, message }) => {
        if (taken >= until) return
        try {
          want(`offset of partition ${partition}`, message.offset, String(next[partition]))
          wantRecord(message, t.record(next[partition] * t.partitions + partition))
        } catch (e) {
          return reject(e)
        }
        next[partition]++
        if (++taken >= until) resolve()
      }
      consumer.run({ autoCommit: false, eachMessage }).catch(reject)
    })
    await consumer.commitOffsets(next.map((offset, partition) => ({ topic: t.name, partition, offset: String(offset) })))
    await consumer.disconnect()
  }
  next.forEach((n, p) => want(`end of partition ${p}`, n, t.count(p, records)))
  const { groups } = await admin.describeGroups([groupId])
  want('state', groups[0].state, 'Empty')
  const [found] = await admin.fetchOffsets({ groupId, topics: [t.name] })
  for (const { partition, offset } of found.partitions) want(`offset of ${partition}`, offset, String(next[partition]))
  await admin.deleteGroups([groupId])
}

function wantRecord(message, r) {
  want('key', hex(message.key), hex(r.key))
  want('value', hex(message.value), hex(r.value))
  want('timestamp', message.timestamp, String(r.timestamp))
}

// A consumer of committed records finds each copied record once, in order, unchanged.
async function transactionalCopy() {
  const from = dataset('none')
  const to = topicName('copy')
  const groupId = `group-${client}-copy`
  await create(to, from.partitions)
  const copied = await copy(kafka, { from, to, groupId, records })
  copied.forEach((n, p) => want(`end of partition ${p}`, n, from.count(p, records)))
  await soon('offsets', async () => {
    const [found] = await admin.fetchOffsets({ groupId, topics: [from.name] })
    return found.partitions.sort((a, b) => a.partition - b.partition).map(p => p.offset).join()
  }, copied.join())
  const next = Array(from.partitions).fill(0)
  await committed(kafka, { to, partitions: from.partitions, groupId: `${groupId}-reader`, each: (partition, message) =>
    wantRecord(message, from.record(next[partition]++ * from.partitions + partition)) })
  next.forEach((n, p) => want(`copies in partition ${p}`, n, from.count(p, records)))
}

const hex = b => (b === null ? null : b.toString('hex'))

function big(n) {
  const blocks = []
  let block = createHash('sha256').update('big').digest()
  for (let size = 0; size < n; size += block.length) {
    blocks.push(block)
    block = createHash('sha256').update(block).digest()
  }
  return Buffer.concat(blocks).subarray(0, n)
}

const describe = async topic =>
  (await admin.describeConfigs({ resources: [{ type: ConfigResourceTypes.TOPIC, name: topic }], includeSynonyms: false })).resources[0]

const config = async (topic, name) => (await describe(topic)).configEntries.find(e => e.configName === name).configValue

const features = {
  'group-resume': groupResume,
  'transactional-copy': transactionalCopy,
  'offsets-by-timestamp': async () => {
    const t = dataset('none')
    const middle = timestamp(Math.floor(records / 2)) - 1
    for (const o of await admin.fetchTopicOffsetsByTimestamp(t.name, middle)) {
      want(`offset of partition ${o.partition}`, o.offset, String(t.firstAtOrAfter(o.partition, middle, records)))
    }
  },
  'large-record': () =>
    withProducer({}, async producer => {
      await create(topicName('large'))
      for (let i = 0; i < 3; i++) await producer.send({ topic: topicName('large'), messages: [{ value: big(900000) }] })
      want('end', (await admin.fetchTopicOffsets(topicName('large')))[0].high, '3')
    }),
  'too-large': () =>
    withProducer({ retry: { retries: 0 } }, async producer => {
      await create(topicName('too-large'))
      const send = value => producer.send({ topic: topicName('too-large'), messages: [{ value }] })
      await wantError('MESSAGE_TOO_LARGE', () => send(big(2000000)))
      want('offset after the refusal', (await send('v'))[0].baseOffset, '0')
    }),
  'unknown-topic': () =>
    withProducer({ allowAutoTopicCreation: false, retry: { retries: 0 } }, producer =>
      wantError('UNKNOWN_TOPIC_OR_PARTITION', () =>
        producer.send({ topic: topicName('never-created'), messages: [{ value: 'v' }] }))),
  'auto-create': () =>
    withProducer({ allowAutoTopicCreation: true }, producer => producer.send({ topic: topicName('auto'), messages: [{ value: 'v' }] })),
  'create-topic-errors': async () => {
    want('created', await create(topicName('exists')), true)
    want('created again', await create(topicName('exists')), false)
    await wantError('INVALID_PARTITIONS', () => create(topicName('none'), 0))
    await wantError('INVALID_TOPIC_EXCEPTION', () => create('no spaces allowed'))
  },
  configs: async () => {
    const name = topicName('configs')
    await create(name)
    await soon('retention.ms', () => config(name, 'retention.ms'), '-1')
    // This client has only the old AlterConfigs: what is not named falls back to its default.
    const configEntries = [{ name: 'segment.ms', value: '3600000' }]
    await admin.alterConfigs({ validateOnly: false, resources: [{ type: ConfigResourceTypes.TOPIC, name, configEntries }] })
    await soon('segment.ms', () => config(name, 'segment.ms'), '3600000')
    await soon('retention.ms', () => config(name, 'retention.ms'), '604800000')
  },
  'create-partitions': async () => {
    await create(topicName('grow'))
    await admin.createPartitions({ topicPartitions: [{ topic: topicName('grow'), count: 4 }] })
    const count = async () => (await admin.fetchTopicMetadata({ topics: [topicName('grow')] })).topics[0].partitions.length
    await soon('partitions', count, 4)
  },
  'describe-cluster': async () => {
    const c = await admin.describeCluster()
    want('cluster ID there', Boolean(c.clusterId), true)
    want('controller is a broker', c.brokers.some(b => b.nodeId === c.controller), true)
  },
  'delete-records': async () => {
    const t = dataset('delrec')
    await produce(t, 300, {})
    await admin.fetchTopicOffsets(t.name) // deleteTopicRecords looks for leaders only in metadata that it has already
    await admin.deleteTopicRecords({ topic: t.name, partitions: [{ partition: 0, offset: '40' }] })
    const p0 = (await admin.fetchTopicOffsets(t.name)).find(o => o.partition === 0)
    want('low', p0.low, '40')
    want('high', p0.high, '100')
  },
  'delete-topic': async () => {
    await create(topicName('delete'))
    await admin.deleteTopics({ topics: [topicName('delete')] })
    await wantError('UNKNOWN_TOPIC_OR_PARTITION', () => admin.deleteTopics({ topics: [topicName('delete')] }))
    want('created again', await create(topicName('delete')), true)
  },
}

async function main() {
  await zstd.init()
  await check('dataset', async () => selftest())
  await admin.connect()
  const codecs = {
    none: { compression: CompressionTypes.None, idempotent: true },
    gzip: { compression: CompressionTypes.GZIP, acks: 1 },
    snappy: { compression: CompressionTypes.Snappy, idempotent: true },
    lz4: { compression: CompressionTypes.LZ4 },
    zstd: { compression: CompressionTypes.ZSTD, idempotent: true },
  }
  for (const [codec, options] of Object.entries(codecs)) {
    const t = dataset(codec)
    if (await check(`produce/${codec}`, () => produce(t, records, options))) {
      await check(`offsets/${codec}`, () => ends(t, records))
      console.log(`wrote ${t.name}`)
    }
  }
  for (const [name, acks] of [['0', 0], ['1', 1], ['all', -1]]) {
    await check(`acks-${name}`, async () => {
      await produce(dataset(`acks${name}`), 1000, { acks })
      if (acks !== 0) await ends(dataset(`acks${name}`), 1000)
    })
  }
  for (const [name, body] of Object.entries(features)) await check(name, body)
  await admin.disconnect()
  console.log('done')
  process.exit(0)
}

main()
