// node-postgres. Parameters go as text without a type; objects as JSON, arrays as those of PostgreSQL.
const fs = require('fs')
const { createRequire } = require('module')

const [, , callsFile, answersFile, modules, kind] = process.argv
const { Client } = createRequire(modules + '/')('pg')
const { connection, calls } = JSON.parse(fs.readFileSync(callsFile, 'utf8'))

function given({ kind, value }) {
    if (value === null) return null
    if (kind === 'timestamptz' || kind === 'date') return new Date(value)
    if (kind === 'bytes') return Buffer.from(value, 'base64')
    return value
}

function plain(value) {
    if (Buffer.isBuffer(value)) return '\\x' + value.toString('hex')
    if (value instanceof Date) return value.toISOString()
    if (Array.isArray(value)) return value.map(plain)
    return value === undefined ? null : value
}

async function main() {
    const client = new Client({ host: connection.host, port: connection.port, database: connection.database, user: connection.user })
    await client.connect()
    const answers = {}
    for (const [number, { name, sql, parameters, is_alone }] of calls.entries()) {
        if (!is_alone) await client.query('BEGIN')
        try {
            const query = { text: sql, values: parameters.map(given), rowMode: 'array' }
            if (kind === 'named') query.name = 'call' + number
            const { rows } = await client.query(query)
            answers[name] = { rows: rows.map((row) => row.map(plain)) }
        } catch (error) {
            answers[name] = { error: `${error.code}: ${error.message}` }
        }
        if (!is_alone) await client.query('ROLLBACK')
    }
    await client.end()
    fs.writeFileSync(answersFile, JSON.stringify(answers))
}

main().catch((error) => {
    console.error(error)
    process.exit(1)
})
