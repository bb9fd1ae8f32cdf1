// A loop that copies a data set in transactions, and what consumers of committed records see of it.
'use strict'

const END = 'the end'

/**
 * Copies the data set to another topic, a few hundred records and the offsets that they came from in one transaction. Every third transaction is
 * aborted, and done again; one is left open by a producer whose successor has the same ID. Returns what is committed: offsets by partition.
 */
async function copy(kafka, { from, to, groupId, records }) {
  const begin = async () => {
    const p = kafka.producer({ transactionalId: to, idempotent: true, maxInFlightRequests: 1, createPartitioner: () => ({ message }) => message.partition })
    await p.connect()
    return p
  }
  const producers = [await begin()]
  const next = Array(from.partitions).fill(0)
  let transactions = 0
  let copied = 0
  const take = async (partition, batch) => {
    const messages = batch.map(({ key, value, headers, timestamp }) => ({ key, value, headers, timestamp, partition }))
    const offset = String(Number(batch[batch.length - 1].offset) + 1)
    for (let t = await producers[0].transaction(); ; ) {
      await t.send({ topic: to, messages })
      await t.sendOffsets({ consumerGroupId: groupId, topics: [{ topic: from.name, partitions: [{ partition, offset }] }] })
      transactions++
      if (transactions === 5) {
        producers.unshift(await begin())
        const open = t
        t = await producers[0].transaction() // this client asks for its producer ID when it begins
        const fenced = await open.commit().then(() => false, () => true)
        if (!fenced) throw new Error('a producer committed after its successor had begun')
      } else if (transactions % 3 === 0) {
        await t.abort()
        t = await producers[0].transaction()
      } else {
        await t.commit()
        copied += batch.length
        next[partition] = Number(offset)
        return
      }
    }
  }
  await inGroup(kafka, groupId, from.name, async (partition, messages) => {
    const size = Math.max(Math.floor(records / 20), 1)
    for (let i = 0; i < messages.length; i += size) await take(partition, messages.slice(i, i + size))
    return copied >= records
  })
  for (const p of producers) await p.disconnect()
  return next
}

/** Calls back with each partition's committed records after next, up to a record that comes after everything. */
async function committed(kafka, { to, partitions, groupId, each }) {
  const p = kafka.producer({ createPartitioner: () => ({ message }) => message.partition })
  await p.connect()
  for (let partition = 0; partition < partitions; partition++) await p.send({ topic: to, messages: [{ key: END, value: END, partition }] })
  await p.disconnect()
  let ends = 0
  await inGroup(kafka, groupId, to, async (partition, messages) => {
    for (const m of messages) {
      if (m.key && m.key.toString() === END) ends++
      else each(partition, m)
    }
    return ends === partitions
  })
}

/** A member takes batches, one after the other, until it is told that there are no more. */
async function inGroup(kafka, groupId, topic, take) {
  const consumer = kafka.consumer({ groupId, maxWaitTimeInMs: 100, readUncommitted: false })
  await consumer.connect()
  await consumer.subscribe({ topic, fromBeginning: true })
  await new Promise((resolve, reject) => {
    let over = false
    const eachBatch = async ({ batch, resolveOffset, heartbeat }) => {
      if (over || batch.messages.length === 0) return
      try {
        over = await take(batch.partition, batch.messages)
      } catch (e) {
        over = true
        return reject(e)
      }
      resolveOffset(batch.lastOffset())
      await heartbeat()
      if (over) resolve()
    }
    consumer.run({ autoCommit: false, eachBatchAutoResolve: false, eachBatch }).catch(reject)
  })
  await consumer.disconnect()
}

module.exports = { copy, committed }
